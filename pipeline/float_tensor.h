#pragma once

#include <cstdint>
#include <memory>
#include <vector>

namespace kandinsky {

// A tensor that enters or leaves the pipeline: row-major, as many values as the product of the shape.
struct FloatTensor {
  std::vector<int64_t> shape;
  std::vector<float> values;
};

using SharedFloatTensor = std::shared_ptr<const FloatTensor>;

}  // namespace kandinsky
