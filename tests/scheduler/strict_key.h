#pragma once

#include "scheduler/request_queue.h"

namespace kandinsky {

// The key of requests whose latents are `width` cells wide.
inline StrictBatchKey StrictKey(int width) { return {.steps = {{BatchKey{.latent_width = width}, 1}}}; }

inline int WidthOf(const QueuedRequest& request) { return request.key.steps.front().first.latent_width; }

}  // namespace kandinsky
