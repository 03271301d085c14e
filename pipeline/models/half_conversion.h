#pragma once

#include <torch/types.h>

#include <cstdint>

namespace kandinsky {

// Numbers of half precision (IEEE binary16) to float32, exactly. Returns whether all are finite.
bool HalvesToFloats(const uint16_t* from, int64_t count, float* to);

// A tensor of half precision, contiguous and on the CPU, as a new weight (EmptyWeight) with the same values,
// on the calling thread. `finite` becomes whether all are finite.
torch::Tensor FloatWeight(const torch::Tensor& stored, bool& finite);

}  // namespace kandinsky
