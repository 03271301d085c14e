#pragma once

#include <ATen/autocast_mode.h>

#include "training/training_options.h"

namespace kandinsky::training {

// While it lives, matrix products and convolutions of this thread run in bfloat16, the rest in float32, as
// with torch.autocast; or everything as it is, with kFloat32.
class Autocast {
 public:
  explicit Autocast(Precision precision) : enabled_(precision == Precision::kBFloat16) {
    if (!enabled_) return;
    at::autocast::set_autocast_dtype(at::kCPU, at::kBFloat16);
    at::autocast::set_autocast_enabled(at::kCPU, true);
    at::autocast::increment_nesting();
  }
  ~Autocast() {
    if (!enabled_) return;
    if (at::autocast::decrement_nesting() == 0) at::autocast::clear_cache();
    at::autocast::set_autocast_enabled(at::kCPU, false);
  }
  Autocast(const Autocast&) = delete;
  Autocast& operator=(const Autocast&) = delete;

 private:
  const bool enabled_;
};

}  // namespace kandinsky::training
