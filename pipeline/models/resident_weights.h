#pragma once

#include <torch/nn/module.h>

#include <cstdint>
#include <set>

namespace kandinsky {

// Counts the memory that modules hold their weights in: as they are used, prepared for inference or not, and
// what several modules share once. Used by one thread.
class ResidentWeights {
 public:
  // `module` is owned by a shared_ptr.
  void Add(const torch::nn::Module& module);
  int64_t bytes() const { return bytes_; }

 private:
  void Add(const torch::Tensor& tensor);

  std::set<const void*> seen_;
  int64_t bytes_ = 0;
};

}  // namespace kandinsky
