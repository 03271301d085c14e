#pragma once

#include <string>
#include <vector>

#include "scheduler/engine_types.h"

namespace kandinsky {

// A way of serving, to be compared.
struct ServingPolicy {
  std::string name;
  EngineOptions options;
};

// One request after the other.
ServingPolicy SerialPolicy();
// Batches of eight with the same size, steps and guidance; one that is not full starts after 30 s.
ServingPolicy StaticPolicy();
// As before, started after 5 ms at the latest.
ServingPolicy DynamicPolicy();
// Step-level batching, as the server does by default.
ServingPolicy StepLevelPolicy();

// The four above, without a bound on the queue.
std::vector<ServingPolicy> AllPolicies();

}  // namespace kandinsky
