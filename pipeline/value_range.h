#pragma once

namespace kandinsky {

// Values from `min` to `max`.
struct ValueRange {
  float min = 0;
  float max = 0;

  // NaN is in no range.
  constexpr bool Contains(float value) const { return value >= min && value <= max; }
};

// Ranges of what requests bring. Any finite value would let clients overflow the networks, which is then an
// error of the server; within these bounds, also with guidance and weights at theirs, 32-bit floats are far
// from that.
// Image embeddings have values of the order of 1, the prior clips at 10 standard deviations; the rest is room
// for arithmetic with them.
inline constexpr ValueRange kEmbeddingRange = {-1000, 1000};
// Latents have values of the order of 1, those that Euler samplers start from of 25; strong guidance
// multiplies them.
inline constexpr ValueRange kLatentRange = {-10'000, 10'000};
inline constexpr ValueRange kPixelRange = {-1, 1};
inline constexpr ValueRange kHintRange = {0, 1};

}  // namespace kandinsky
