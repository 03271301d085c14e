#pragma once

#include <vector>

#include "absl/time/time.h"
#include "absl/types/span.h"

namespace kandinsky {

// When waiting requests will start: for each of `waiting` (in order, each the device times of its images) the
// time until the workers have room for its first image. `active` holds the device time that each sample
// under way still needs, `capacity` is how many samples may be under way at once in all workers together,
// `workers` >= 1. The samples under way are taken to share the workers evenly, and images to enter one by
// one, as soon as a slot is free, after all images of the requests before theirs. A pure function.
std::vector<absl::Duration> EstimateStartDelays(absl::Span<const absl::Duration> active,
                                                absl::Span<const std::vector<absl::Duration>> waiting,
                                                size_t capacity, int workers);

}  // namespace kandinsky
