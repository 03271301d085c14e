#include "pipeline/models/group_norm.h"

#include <ATen/ATen.h>

#include <algorithm>
#include <cmath>
#include <vector>

#include "pipeline/models/group_norm_kernels.h"
#include "pipeline/models/layers.h"
#include "pipeline/models/parallel.h"

namespace kandinsky {
namespace {

// Values of a chunk: small enough for a core's cache, and many enough that starting a thread pays. Chunks
// depend on the number of channels only, so that sums are always added in the same order.
constexpr int64_t kChunkValues = 32768;
constexpr int64_t kMinChunkPixels = 8;

// A picture of one row, cut into chunks of whole pixels.
struct Chunks {
  Chunks(int64_t all_pixels, int64_t channels)
      : all(all_pixels),
        pixels(std::max(kMinChunkPixels, kChunkValues / channels)),
        count((all_pixels + pixels - 1) / pixels) {}

  int64_t First(int64_t chunk) const { return chunk * pixels; }
  int64_t Pixels(int64_t chunk) const { return std::min(pixels, all - First(chunk)); }

  int64_t all;
  int64_t pixels;  // of every chunk but the last
  int64_t count;
};

struct Moments {
  double sum = 0;
  double squares = 0;
};

// y = (x - center) * scale + shift for each row and channel, [rows * channels].
struct Coefficients {
  explicit Coefficients(int64_t size)
      : center(static_cast<size_t>(size)),
        scale(static_cast<size_t>(size)),
        shift(static_cast<size_t>(size)) {}
  std::vector<float> center;
  std::vector<float> scale;
  std::vector<float> shift;
};

// A channels_last input and what the norm has learned.
struct Normalization {
  const torch::Tensor& x;
  const torch::Tensor& weight;
  const torch::Tensor& bias;
  int64_t groups;
  double eps;

  int64_t rows() const { return x.size(0); }
  int64_t channels() const { return x.size(1); }
  int64_t pixels() const { return x.size(2) * x.size(3); }
};

// [rows, chunks, groups].
std::vector<Moments> MomentsOfChunks(const Normalization& norm, const Chunks& chunks) {
  const int64_t channels = norm.channels(), channels_per_group = channels / norm.groups;
  std::vector<Moments> moments(static_cast<size_t>(norm.rows() * chunks.count * norm.groups));
  const float* values = norm.x.const_data_ptr<float>();
  const GroupNormKernels& kernels = BestGroupNormKernels();
  ParallelFor(0, norm.rows() * chunks.count, /*grain_size=*/1, [&](int64_t begin, int64_t end) {
    std::vector<double> sums(static_cast<size_t>(2 * channels));
    double* squares = sums.data() + channels;
    for (int64_t i = begin; i < end; ++i) {
      const int64_t row = i / chunks.count, chunk = i % chunks.count;
      std::fill(sums.begin(), sums.end(), 0.0);
      kernels.add_moments(values + (row * norm.pixels() + chunks.First(chunk)) * channels,
                          chunks.Pixels(chunk), channels, sums.data(), squares);
      for (int64_t group = 0; group < norm.groups; ++group) {
        Moments& of_group = moments[static_cast<size_t>(i * norm.groups + group)];
        for (int64_t c = group * channels_per_group; c < (group + 1) * channels_per_group; ++c) {
          of_group.sum += sums[static_cast<size_t>(c)];
          of_group.squares += squares[c];
        }
      }
    }
  });
  return moments;
}

// What the kernel multiplies and adds, so that it does not have to know of groups: rounded once, at the end.
Coefficients CoefficientsOf(const Normalization& norm, const std::vector<Moments>& moments,
                            const torch::Tensor& scale_shift) {
  const int64_t channels = norm.channels(), channels_per_group = channels / norm.groups;
  const int64_t chunks = static_cast<int64_t>(moments.size()) / (norm.rows() * norm.groups);
  const double count = static_cast<double>(norm.pixels() * channels_per_group);
  const float* weight = norm.weight.const_data_ptr<float>();
  const float* bias = norm.bias.const_data_ptr<float>();
  const torch::Tensor modulation = scale_shift.defined() ? scale_shift.contiguous() : scale_shift;
  Coefficients result(norm.rows() * channels);
  for (int64_t row = 0; row < norm.rows(); ++row) {
    const float* extra =
        modulation.defined() ? modulation.const_data_ptr<float>() + 2 * row * channels : nullptr;
    for (int64_t group = 0; group < norm.groups; ++group) {
      Moments all;
      for (int64_t chunk = 0; chunk < chunks; ++chunk) {
        const Moments& part = moments[static_cast<size_t>((row * chunks + chunk) * norm.groups + group)];
        all.sum += part.sum;
        all.squares += part.squares;
      }
      const double mean = all.sum / count;
      const double variance = std::max(0.0, all.squares / count - mean * mean);
      const double inverse_deviation = 1.0 / std::sqrt(variance + norm.eps);
      // x - center is exact where x is near the mean; what rounding took from the mean goes into the shift.
      const float center = static_cast<float>(mean);
      for (int64_t c = group * channels_per_group; c < (group + 1) * channels_per_group; ++c) {
        double scale = inverse_deviation * weight[c];
        double shift = bias[c] - (mean - center) * scale;
        if (extra != nullptr) {
          scale *= 1.0 + extra[c];
          shift = shift * (1.0 + extra[c]) + extra[channels + c];
        }
        const size_t index = static_cast<size_t>(row * channels + c);
        result.center[index] = center;
        result.scale[index] = static_cast<float>(scale);
        result.shift[index] = static_cast<float>(shift);
      }
    }
  }
  return result;
}

// A run of pixels that starts `first` pixels into row `row`.
NormalizedRun RunOf(const Normalization& norm, const Coefficients& coefficients, const torch::Tensor& output,
                    int64_t row, int64_t first) {
  const int64_t channels = norm.channels();
  const int64_t offset = (row * norm.pixels() + first) * channels;
  NormalizedRun run;
  run.from = norm.x.const_data_ptr<float>() + offset;
  run.to = output.mutable_data_ptr<float>() + offset;
  run.channels = channels;
  run.center = coefficients.center.data() + row * channels;
  run.scale = coefficients.scale.data() + row * channels;
  run.shift = coefficients.shift.data() + row * channels;
  return run;
}

void NormalizeChunks(const Normalization& norm, const Chunks& chunks, const Coefficients& coefficients,
                     bool silu, const torch::Tensor& output) {
  const GroupNormKernels& kernels = BestGroupNormKernels();
  ParallelFor(0, norm.rows() * chunks.count, /*grain_size=*/1, [&](int64_t begin, int64_t end) {
    for (int64_t i = begin; i < end; ++i) {
      const int64_t row = i / chunks.count, chunk = i % chunks.count;
      NormalizedRun run = RunOf(norm, coefficients, output, row, chunks.First(chunk));
      run.pixels = chunks.Pixels(chunk);
      run.silu = silu;
      kernels.normalize(run);
    }
  });
}

// Every position of scale and shift stands for a block of pixels; a run is a line of such a block.
void NormalizeBlocks(const Normalization& norm, const Coefficients& coefficients,
                     const GroupNormEpilogue& epilogue, const torch::Tensor& output) {
  const torch::Tensor scale = epilogue.position_scale.contiguous(at::MemoryFormat::ChannelsLast);
  const torch::Tensor shift = epilogue.position_shift.contiguous(at::MemoryFormat::ChannelsLast);
  const int64_t height = norm.x.size(2), width = norm.x.size(3), columns = scale.size(3);
  const int64_t block_height = height / scale.size(2), block_width = width / columns;
  const GroupNormKernels& kernels = BestGroupNormKernels();
  const int64_t grain = std::max<int64_t>(1, kChunkValues / (width * norm.channels()));
  ParallelFor(0, norm.rows() * height, grain, [&](int64_t begin, int64_t end) {
    for (int64_t line = begin; line < end; ++line) {
      const int64_t row = line / height, y = line % height;
      for (int64_t column = 0; column < columns; ++column) {
        const int64_t position = (row * scale.size(2) + y / block_height) * columns + column;
        NormalizedRun run = RunOf(norm, coefficients, output, row, y * width + column * block_width);
        run.pixels = block_width;
        run.position_scale = scale.const_data_ptr<float>() + position * norm.channels();
        run.position_shift = shift.const_data_ptr<float>() + position * norm.channels();
        run.silu = epilogue.silu;
        kernels.normalize(run);
      }
    }
  });
}

torch::Tensor PyTorchsGroupNorm(const torch::Tensor& x, const Normalization& norm) {
  const auto normalize = [&](const torch::Tensor& images) {
    return at::group_norm(images, norm.groups, norm.weight, norm.bias, norm.eps);
  };
  if (at::GradMode::is_enabled() || x.size(0) < 2) return normalize(x);
  // Image by image: the library divides sums among threads by the whole size.
  torch::Tensor result = at::empty_like(x);
  for (int64_t image = 0; image < x.size(0); ++image) {
    result.narrow(0, image, 1).copy_(normalize(x.narrow(0, image, 1)));
  }
  return result;
}

// The epilogue with PyTorch's operations, which record gradients.
torch::Tensor WithPyTorch(torch::Tensor&& normalized, const GroupNormEpilogue& epilogue) {
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
  const Normalization norm{.x = x, .weight = weight, .bias = bias, .groups = groups_, .eps = eps_};
  if (!SuitsKernel(x, epilogue)) return WithPyTorch(PyTorchsGroupNorm(x, norm), epilogue);
  const Chunks chunks(norm.pixels(), norm.channels());
  const Coefficients coefficients = CoefficientsOf(norm, MomentsOfChunks(norm, chunks), epilogue.scale_shift);
  torch::Tensor output = at::empty(x.sizes(), x.options(), at::MemoryFormat::ChannelsLast);
  if (epilogue.position_scale.defined()) {
    NormalizeBlocks(norm, coefficients, epilogue, output);
  } else {
    NormalizeChunks(norm, chunks, coefficients, epilogue.silu, output);
  }
  return output;
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
