#include "benchmarks/scheduler_simulation/policies.h"

namespace kandinsky {
namespace {

constexpr size_t kUnbounded = 1000000000;

EngineOptions Unbounded() {
  EngineOptions options;
  options.max_queued_requests = kUnbounded;
  // A GPU with room for eight rows of any size.
  options.max_batch_latent_pixels = INT64_MAX;
  return options;
}

ServingPolicy Strict(const std::string& name, int rows, absl::Duration delay) {
  ServingPolicy policy = {.name = name, .options = Unbounded()};
  policy.options.batch_mode = BatchMode::kStrict;
  policy.options.max_batch_rows = rows;
  policy.options.preferred_batch_rows = rows;
  policy.options.batch_delay = delay;
  return policy;
}

}  // namespace

ServingPolicy SerialPolicy() { return Strict("serial", 1, absl::ZeroDuration()); }

ServingPolicy StaticPolicy() { return Strict("static batches of 8", 8, absl::Seconds(30)); }

ServingPolicy DynamicPolicy() { return Strict("dynamic, 5 ms", 8, absl::Milliseconds(5)); }

ServingPolicy StepLevelPolicy() { return {.name = "step-level", .options = Unbounded()}; }

std::vector<ServingPolicy> AllPolicies() {
  return {SerialPolicy(), StaticPolicy(), DynamicPolicy(), StepLevelPolicy()};
}

}  // namespace kandinsky
