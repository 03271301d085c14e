#pragma once

#include <string>
#include <vector>

#include "kandinsky/v1/image_generation.pb.h"

namespace kandinsky::client {

// A tensor of this shape whose bytes differ from their neighbors.
inline v1::FloatTensor Tensor(const std::vector<int>& shape) {
  v1::FloatTensor tensor;
  size_t bytes = 4;
  for (const int size : shape) {
    tensor.add_shape(size);
    bytes *= static_cast<size_t>(size);
  }
  tensor.mutable_data()->resize(bytes);
  for (size_t i = 0; i < bytes; ++i) (*tensor.mutable_data())[i] = static_cast<char>(i % 60);
  return tensor;
}

}  // namespace kandinsky::client
