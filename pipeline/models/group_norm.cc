#include "pipeline/models/group_norm.h"

#include <ATen/ATen.h>

#include <algorithm>
#include <cmath>
#include <memory>
#include <numeric>
#include <utility>
#include <vector>

#include "pipeline/models/group_norm_kernels.h"
#include "pipeline/models/layers.h"
#include "pipeline/models/parallel.h"

namespace kandinsky {
namespace {

// Values that a core's cache keeps between two passes over them.
constexpr int64_t kCachedValues = int64_t{192} << 10;
// Values of a chunk: so many that starting a thread pays.
constexpr int64_t kChunkValues = 32768;
// The kernels read so many pixels at once.
constexpr int64_t kPixelsAtOnce = 8;
// Channels that fill a line of the cache: parts of an image that share none do not disturb each other.
constexpr int64_t kLineChannels = 16;
// More parts are no use to balance threads.
constexpr int64_t kEnoughBlocks = 8;

// A channels_last input, what the norm has learned, and what follows it.
struct Normalization {
  const torch::Tensor& x;
  const torch::Tensor& weight;
  const torch::Tensor& bias;
  int64_t groups;
  double eps;
  GroupNormEpilogue epilogue;  // its tensors in the order in which the kernels read them

  int64_t rows() const { return x.size(0); }
  int64_t channels() const { return x.size(1); }
  int64_t pixels() const { return x.size(2) * x.size(3); }
  int64_t channels_per_group() const { return channels() / groups; }
};

// A part of a row: some channels, whole groups, of a run of pixels.
struct Part {
  int64_t row = 0;
  int64_t first_pixel = 0;
  int64_t pixels = 0;
  int64_t first_channel = 0;
  int64_t channels = 0;
};

// A row cut into chunks of whole pixels. How depends on the number of channels only, so that sums are always
// added in the same order.
struct Chunks {
  explicit Chunks(const Normalization& norm)
      : all(norm.pixels()),
        channels(norm.channels()),
        pixels(std::max<int64_t>(1, kChunkValues / channels / kPixelsAtOnce) * kPixelsAtOnce),
        count((all + pixels - 1) / pixels) {}

  Part At(int64_t index) const {
    const int64_t first = index % count * pixels;
    return {.row = index / count,
            .first_pixel = first,
            .pixels = std::min(pixels, all - first),
            .channels = channels};
  }

  int64_t all;
  int64_t channels;
  int64_t pixels;  // of every chunk but the last
  int64_t count;
};

// A row cut into blocks of whole groups, with all pixels. How depends on the size of the row only.
struct Blocks {
  explicit Blocks(const Normalization& norm)
      : pixels(norm.pixels()),
        channels(norm.channels()),
        width(norm.channels_per_group() *
              (kLineChannels / std::gcd(kLineChannels, norm.channels_per_group()))) {
    while (2 * width * pixels <= kCachedValues && channels >= 2 * width * kEnoughBlocks) width *= 2;
    width = std::min(width, channels);
    count = (channels + width - 1) / width;
  }

  bool FitCache() const { return width * pixels <= kCachedValues; }
  Part At(int64_t index) const {
    const int64_t first = index % count * width;
    return {.row = index / count,
            .pixels = pixels,
            .first_channel = first,
            .channels = std::min(width, channels - first)};
  }

  int64_t pixels;
  int64_t channels;
  int64_t width;  // channels of every block but the last
  int64_t count = 0;
};

// y = (x - center) * scale + shift for each row and channel, [rows * channels].
struct Coefficients {
  explicit Coefficients(const Normalization& norm)
      : size(norm.rows() * norm.channels()), values(new float[static_cast<size_t>(3 * size)]) {}
  float* center() const { return values.get(); }
  float* scale() const { return values.get() + size; }
  float* shift() const { return values.get() + 2 * size; }

  int64_t size;
  std::unique_ptr<float[]> values;
};

// Adds up the groups of a part; `scratch` grows as needed.
void AddMoments(const Normalization& norm, const Part& part, std::vector<double>& scratch, Moments* moments) {
  scratch.resize(static_cast<size_t>(2 * part.channels));
  const float* first = norm.x.const_data_ptr<float>() +
                       (part.row * norm.pixels() + part.first_pixel) * norm.channels() + part.first_channel;
  BestGroupNormKernels().add_moments({first, norm.channels(), part.pixels, part.channels},
                                     norm.channels_per_group(), scratch.data(), moments);
}

// What the kernel multiplies and adds, so that it does not have to know of groups: rounded once, at the end.
void SetCoefficients(const Normalization& norm, int64_t row, int64_t group, const Moments& moments,
                     const Coefficients& coefficients) {
  const int64_t channels = norm.channels(), channels_per_group = norm.channels_per_group();
  const double count = static_cast<double>(norm.pixels() * channels_per_group);
  const double mean = moments.sum / count;
  const double variance = std::max(0.0, moments.squares / count - mean * mean);
  const double inverse_deviation = 1.0 / std::sqrt(variance + norm.eps);
  const float* weight = norm.weight.const_data_ptr<float>();
  const float* bias = norm.bias.const_data_ptr<float>();
  const torch::Tensor& modulation = norm.epilogue.scale_shift;
  const float* extra =
      modulation.defined() ? modulation.const_data_ptr<float>() + 2 * row * channels : nullptr;
  // x - center is exact where x is near the mean; what rounding took from the mean goes into the shift.
  const float center = static_cast<float>(mean);
  for (int64_t c = group * channels_per_group; c < (group + 1) * channels_per_group; ++c) {
    double scale = inverse_deviation * weight[c];
    double shift = bias[c] - (mean - center) * scale;
    if (extra != nullptr) {
      scale *= 1.0 + extra[c];
      shift = shift * (1.0 + extra[c]) + extra[channels + c];
    }
    const int64_t index = row * channels + c;
    coefficients.center()[index] = center;
    coefficients.scale()[index] = static_cast<float>(scale);
    coefficients.shift()[index] = static_cast<float>(shift);
  }
}

// Calls run(first pixel, pixels, position) for the pixels of a part that share a position of the epilogue.
template <typename Run>
void ForEachPosition(const Normalization& norm, const Part& part, const Run& run) {
  const torch::Tensor& positions = norm.epilogue.position_scale;
  const int64_t width = norm.x.size(3), columns = positions.size(3);
  const int64_t block_height = norm.x.size(2) / positions.size(2), block_width = width / columns;
  const int64_t end = part.first_pixel + part.pixels;
  for (int64_t pixel = part.first_pixel; pixel < end;) {
    const int64_t line = pixel / width, column = pixel % width / block_width;
    const int64_t next = std::min(end, line * width + (column + 1) * block_width);
    run(pixel, next - pixel, (part.row * positions.size(2) + line / block_height) * columns + column);
    pixel = next;
  }
}

void NormalizePart(const Normalization& norm, const Part& part, const Coefficients& coefficients,
                   const torch::Tensor& output) {
  const GroupNormKernels& kernels = BestGroupNormKernels();
  const int64_t channels = norm.channels(), coefficient = part.row * channels + part.first_channel;
  const auto run_of = [&](int64_t first_pixel, int64_t pixels) {
    const int64_t offset = (part.row * norm.pixels() + first_pixel) * channels + part.first_channel;
    NormalizedRun run;
    run.from = {norm.x.const_data_ptr<float>() + offset, channels, pixels, part.channels};
    run.to = output.mutable_data_ptr<float>() + offset;
    run.center = coefficients.center() + coefficient;
    run.scale = coefficients.scale() + coefficient;
    run.shift = coefficients.shift() + coefficient;
    run.silu = norm.epilogue.silu;
    return run;
  };
  if (!norm.epilogue.position_scale.defined())
    return kernels.normalize(run_of(part.first_pixel, part.pixels));
  const float* scales = norm.epilogue.position_scale.const_data_ptr<float>() + part.first_channel;
  const float* shifts = norm.epilogue.position_shift.const_data_ptr<float>() + part.first_channel;
  ForEachPosition(norm, part, [&](int64_t first_pixel, int64_t pixels, int64_t position) {
    NormalizedRun run = run_of(first_pixel, pixels);
    run.position_scale = scales + position * channels;
    run.position_shift = shifts + position * channels;
    kernels.normalize(run);
  });
}

// A block is read from memory once: what follows finds it in the cache of the core that has added it up.
void NormalizeBlocks(const Normalization& norm, const Blocks& blocks, const torch::Tensor& output) {
  const Coefficients coefficients(norm);
  const int64_t channels_per_group = norm.channels_per_group();
  ParallelFor(0, norm.rows() * blocks.count, /*grain_size=*/1, [&](int64_t begin, int64_t end) {
    std::vector<double> scratch;
    std::vector<Moments> moments;
    for (int64_t i = begin; i < end; ++i) {
      const Part part = blocks.At(i);
      const int64_t groups = part.channels / channels_per_group;
      moments.assign(static_cast<size_t>(groups), {});
      AddMoments(norm, part, scratch, moments.data());
      for (int64_t group = 0; group < groups; ++group) {
        SetCoefficients(norm, part.row, part.first_channel / channels_per_group + group,
                        moments[static_cast<size_t>(group)], coefficients);
      }
      NormalizePart(norm, part, coefficients, output);
    }
  });
}

// For rows of which not even a few groups fit into a cache.
void NormalizeChunks(const Normalization& norm, const torch::Tensor& output) {
  const Chunks chunks(norm);
  const int64_t all_chunks = norm.rows() * chunks.count;
  std::vector<Moments> moments(static_cast<size_t>(all_chunks * norm.groups));  // [rows, chunks, groups]
  ParallelFor(0, all_chunks, /*grain_size=*/1, [&](int64_t begin, int64_t end) {
    std::vector<double> scratch;
    for (int64_t i = begin; i < end; ++i) {
      AddMoments(norm, chunks.At(i), scratch, moments.data() + i * norm.groups);
    }
  });
  const Coefficients coefficients(norm);
  for (int64_t i = 0; i < norm.rows() * norm.groups; ++i) {
    const int64_t row = i / norm.groups, group = i % norm.groups;
    Moments all;
    for (int64_t chunk = 0; chunk < chunks.count; ++chunk) {
      const Moments& part = moments[static_cast<size_t>((row * chunks.count + chunk) * norm.groups + group)];
      all.sum += part.sum;
      all.squares += part.squares;
    }
    SetCoefficients(norm, row, group, all, coefficients);
  }
  ParallelFor(0, all_chunks, /*grain_size=*/1, [&](int64_t begin, int64_t end) {
    for (int64_t i = begin; i < end; ++i) NormalizePart(norm, chunks.At(i), coefficients, output);
  });
}

// The epilogue with PyTorch's operations, which record gradients.
torch::Tensor Followed(torch::Tensor&& normalized, const GroupNormEpilogue& epilogue) {
  torch::Tensor y = std::move(normalized);
  if (epilogue.scale_shift.defined()) y = ScaleShiftOf(std::move(y), epilogue.scale_shift);
  if (epilogue.position_scale.defined()) {
    const auto enlarge = [&](const torch::Tensor& t) {
      return at::upsample_nearest2d(t, {y.size(2), y.size(3)});
    };
    y = y * enlarge(epilogue.position_scale) + enlarge(epilogue.position_shift);
  }
  return epilogue.silu ? SiluOf(std::move(y)) : y;
}

}  // namespace

GroupNorm::GroupNorm(int64_t groups, int64_t channels, double eps) : groups_(groups), eps_(eps) {
  weight = register_parameter("weight", torch::empty({channels}), /*requires_grad=*/false);
  bias = register_parameter("bias", torch::empty({channels}), /*requires_grad=*/false);
}

torch::Tensor GroupNorm::forward(const torch::Tensor& x, const GroupNormEpilogue& epilogue) const {
  if (!SuitsKernel(x, epilogue)) return WithPyTorch(x, epilogue);
  return Normalize(x, epilogue, at::empty(x.sizes(), x.options(), at::MemoryFormat::ChannelsLast));
}

torch::Tensor GroupNorm::ForwardInPlace(torch::Tensor&& x, const GroupNormEpilogue& epilogue) const {
  if (!SuitsKernel(x, epilogue)) return WithPyTorch(x, epilogue);
  return Normalize(x, epilogue, x);
}

torch::Tensor GroupNorm::Normalize(const torch::Tensor& x, const GroupNormEpilogue& epilogue,
                                   const torch::Tensor& output) const {
  const auto ordered = [](const torch::Tensor& t, at::MemoryFormat format) {
    return t.defined() ? t.contiguous(format) : t;
  };
  const Normalization norm{
      .x = x,
      .weight = weight,
      .bias = bias,
      .groups = groups_,
      .eps = eps_,
      .epilogue = {
          .scale_shift = ordered(epilogue.scale_shift, at::MemoryFormat::Contiguous),
          .position_scale = ordered(epilogue.position_scale, at::MemoryFormat::ChannelsLast),
          .position_shift = ordered(epilogue.position_shift, at::MemoryFormat::ChannelsLast),
          .silu = epilogue.silu,
      }};
  const Blocks blocks(norm);
  if (blocks.FitCache()) {
    NormalizeBlocks(norm, blocks, output);
  } else {
    NormalizeChunks(norm, output);
  }
  return output;
}

torch::Tensor GroupNorm::WithPyTorch(const torch::Tensor& x, const GroupNormEpilogue& epilogue) const {
  const auto normalize = [&](const torch::Tensor& images) {
    return at::group_norm(images, groups_, weight, bias, eps_);
  };
  if (at::GradMode::is_enabled() || x.size(0) < 2) return Followed(normalize(x), epilogue);
  // Image by image: the library divides sums among threads by the whole size.
  torch::Tensor result = at::empty_like(x);
  for (int64_t image = 0; image < x.size(0); ++image) {
    result.narrow(0, image, 1).copy_(normalize(x.narrow(0, image, 1)));
  }
  return Followed(std::move(result), epilogue);
}

bool GroupNorm::SuitsKernel(const torch::Tensor& x, const GroupNormEpilogue& epilogue) const {
  const auto plain = [](const torch::Tensor& t) {
    return !t.defined() || (t.scalar_type() == torch::kFloat && t.device().is_cpu() &&
                            !(at::GradMode::is_enabled() && t.requires_grad()));
  };
  const torch::Tensor& position = epilogue.position_scale;
  return x.dim() == 4 && x.numel() > 0 && x.size(1) == weight.size(0) &&
         x.is_contiguous(at::MemoryFormat::ChannelsLast) && plain(x) && plain(weight) && plain(bias) &&
         plain(epilogue.scale_shift) && plain(position) && plain(epilogue.position_shift) &&
         (!position.defined() || (x.size(2) % position.size(2) == 0 && x.size(3) % position.size(3) == 0));
}

}  // namespace kandinsky
