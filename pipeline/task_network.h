#pragma once

#include <string>

#include "pipeline/generation_request.h"
#include "pipeline/pipeline.h"

namespace kandinsky {

// The network that denoises for the task, as Capabilities::network names it; null for tasks that make no
// image, which every model offers.
const char* NetworkOf(const Task& task);

// Whether a model with these capabilities offers the task.
bool Offers(const Capabilities& capabilities, const Task& task);

// Whether it has a set of adapters of that name.
bool HasAdapter(const Capabilities& capabilities, const std::string& adapter);

// Whether it offers the set of adapters `adapter` for the task, which must run prior or U-Net; without any
// (empty) always.
bool OffersAdapter(const Capabilities& capabilities, const Task& task, const std::string& adapter);

}  // namespace kandinsky
