#pragma once

#include <cstdint>

namespace kandinsky {

// HalvesToFloats with the F16C and AVX2 instructions, which the caller has to make sure of.
bool HalvesToFloatsF16c(const uint16_t* from, int64_t count, float* to);
// With those of every processor.
bool HalvesToFloatsPlain(const uint16_t* from, int64_t count, float* to);

}  // namespace kandinsky
