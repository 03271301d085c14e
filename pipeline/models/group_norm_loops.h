#pragma once

#include <cstdint>
#include <cstring>

#include "pipeline/models/group_norm_kernels.h"
#include "pipeline/models/group_norm_silu.h"
#include "pipeline/models/group_norm_vectors.h"

// The loops behind GroupNormKernels, written once for any width of vector. Each file that includes this is
// compiled for an instruction set of its own; everything is internal to it, so that the linker never puts
// code for one processor in the place of another's. For the same reason only C headers are included.

namespace kandinsky {
namespace {  // NOLINT(google-build-namespaces)

template <int kLanes>
inline int64_t AddChannels(const PixelRun& run, int64_t first, double* sums, double* squares) {
  using Float = typename Vectors<kLanes>::Float;
  using Double = typename Vectors<kLanes>::Double;
  int64_t c = first;
  for (; c + kLanes <= run.channels; c += kLanes) {
    Double sum = Load<Double>(sums + c);
    Double square = Load<Double>(squares + c);
    if constexpr (kLanes > 1) PrefetchNextPixels<kLanes>(run.data, run.stride, c);
    for (int64_t p = 0; p < run.pixels; ++p) {
      const Double value = LoadDoubles<Double, Float>(run.data + p * run.stride + c);
      sum += value;
      square += value * value;
    }
    Store(sums + c, sum);
    Store(squares + c, square);
  }
  return c;
}

// The sum of `count` numbers: four side by side, since one after the other would wait for each addition.
inline double SumOfRun(const double* values, int64_t count) {
  double sums[4] = {};
  int64_t i = 0;
  for (; i + 4 <= count; i += 4) {
    for (int64_t j = 0; j < 4; ++j) sums[j] += values[i + j];
  }
  double sum = (sums[0] + sums[1]) + (sums[2] + sums[3]);
  for (; i < count; ++i) sum += values[i];
  return sum;
}

template <int kLanes>
void AddMoments(const PixelRun& run, int64_t channels_per_group, double* scratch, Moments* moments) {
  double* sums = scratch;
  double* squares = scratch + run.channels;
  std::memset(scratch, 0, static_cast<size_t>(2 * run.channels) * sizeof(double));
  for (int64_t p = 0; p < run.pixels; p += kPixelsAtOnce) {
    PixelRun part = run;
    part.data += p * run.stride;
    part.pixels = run.pixels - p < kPixelsAtOnce ? run.pixels - p : kPixelsAtOnce;
    const int64_t done = AddChannels<kLanes>(part, 0, sums, squares);
    AddChannels<1>(part, done, sums, squares);
  }
  for (int64_t c = 0; c < run.channels; c += channels_per_group, ++moments) {
    moments->sum += SumOfRun(sums + c, channels_per_group);
    moments->squares += SumOfRun(squares + c, channels_per_group);
  }
}

// One vector of channels of all pixels of a run.
template <int kLanes>
struct ChannelVector {
  using Float = typename Vectors<kLanes>::Float;

  ChannelVector(const NormalizedRun& run, int64_t c)
      : from(run.from.data + c),
        to(run.to + c),
        center(Load<Float>(run.center + c)),
        scale(Load<Float>(run.scale + c)),
        shift(Load<Float>(run.shift + c)) {
    if (run.position_scale != nullptr) {
      const Float position_scale = Load<Float>(run.position_scale + c);
      scale = scale * position_scale;
      shift = shift * position_scale + Load<Float>(run.position_shift + c);
    }
  }

  // kCount pixels whose values begin at `offset`.
  template <int kCount, bool kWithSilu>
  void Normalize(int64_t offset, int64_t stride) const {
    Float y[kCount];
#pragma GCC unroll 8
    for (int i = 0; i < kCount; ++i)
      y[i] = (Load<Float>(from + offset + i * stride) - center) * scale + shift;
    if constexpr (kWithSilu) Silu<kLanes, kCount>(y);
#pragma GCC unroll 8
    for (int i = 0; i < kCount; ++i) Store(to + offset + i * stride, y[i]);
  }

  const float* from;
  float* to;
  Float center;
  Float scale;
  Float shift;
};

template <int kLanes, bool kWithSilu>
inline int64_t NormalizeChannels(const NormalizedRun& run, int64_t first_pixel, int64_t pixels,
                                 int64_t first) {
  constexpr int kAtOnce = 4;
  const int64_t stride = run.from.stride;
  int64_t c = first;
  for (; c + kLanes <= run.from.channels; c += kLanes) {
    const ChannelVector<kLanes> vector(run, c);
    if constexpr (kLanes > 1) PrefetchNextPixels<kLanes>(run.from.data + first_pixel * stride, stride, c);
    int64_t p = first_pixel;
    for (; p + kAtOnce <= first_pixel + pixels; p += kAtOnce) {
      vector.template Normalize<kAtOnce, kWithSilu>(p * stride, stride);
    }
    for (; p < first_pixel + pixels; ++p) vector.template Normalize<1, kWithSilu>(p * stride, stride);
  }
  return c;
}

template <int kLanes, bool kWithSilu>
void NormalizePixels(const NormalizedRun& run) {
  for (int64_t p = 0; p < run.from.pixels; p += kPixelsAtOnce) {
    const int64_t count = run.from.pixels - p < kPixelsAtOnce ? run.from.pixels - p : kPixelsAtOnce;
    const int64_t done = NormalizeChannels<kLanes, kWithSilu>(run, p, count, 0);
    NormalizeChannels<1, kWithSilu>(run, p, count, done);
  }
}

template <int kLanes>
void NormalizeRun(const NormalizedRun& run) {
  run.silu ? NormalizePixels<kLanes, true>(run) : NormalizePixels<kLanes, false>(run);
}

// `kLanes` floats fill the widest register.
template <int kLanes>
constexpr GroupNormKernels MakeGroupNormKernels() {
  return {.add_moments = &AddMoments<kLanes / 2>, .normalize = &NormalizeRun<kLanes>};
}

}  // namespace
}  // namespace kandinsky
