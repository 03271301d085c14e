#pragma once

#include <torch/types.h>

namespace kandinsky {

// An uninitialized float32 tensor on the CPU for a weight. Large ones lie in huge pages where the system has
// them at hand (a fresh page costs the system more than what is written to it) and in mappings of their own,
// which go back to the system whole; an allocator's heaps would keep holes between weights of different
// sizes. Throws std::bad_alloc.
torch::Tensor EmptyWeight(c10::IntArrayRef sizes);

}  // namespace kandinsky
