#pragma once

#include <cstdint>

#include "training/training_options.h"

namespace kandinsky::training {

// The factor of the learning rate for optimizer step `step` (from 0) of `max_steps`, in 0..1: rises linearly
// from 0 over the warm-up, then stays, falls linearly to 0, or falls along half a cosine wave. The schedules
// "constant_with_warmup", "linear" and "cosine" of diffusers (get_scheduler).
double LearningRateFactor(const ScheduleOptions& schedule, int64_t step, int64_t max_steps);

}  // namespace kandinsky::training
