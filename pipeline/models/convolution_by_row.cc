#include "pipeline/models/convolution_by_row.h"

#include <ATen/ATen.h>

#include <algorithm>

#include "pipeline/models/matrix_kernel.h"
#include "pipeline/models/parallel.h"

namespace kandinsky {
namespace {

constexpr int64_t kTilePixels = 12;
constexpr int64_t kGroupPanels = 8;   // whose weights stay in the second-level cache
constexpr int64_t kTaskPixels = 960;  // about

int64_t Quotient(int64_t a, int64_t b) { return (a + b - 1) / b; }

// What one convolution works on. A line of a kernel covers `line` numbers that lie side by side in the image.
struct Convolution {
  torch::Tensor images;   // with their padding, [N, in, height, width] in channels_last
  torch::Tensor weights;  // [panels, kernel, line, kPanelColumns]
  torch::Tensor result;   // [N, out, result height, result width] in channels_last
  const float* bias = nullptr;
  int64_t stride = 1;

  int64_t kernel() const { return weights.size(1); }
  int64_t line() const { return weights.size(2); }
};

torch::Tensor PackKernel(const torch::Tensor& weight) {
  const int64_t out = weight.size(0), kernel = weight.size(2), line = weight.size(1) * weight.size(3);
  const int64_t panels = Quotient(out, kPanelColumns);
  const torch::Tensor from = weight.contiguous(at::MemoryFormat::ChannelsLast);
  torch::Tensor packed = at::empty({panels, kernel, line, kPanelColumns}, from.options());
  const float* source = from.const_data_ptr<float>();
  float* target = packed.mutable_data_ptr<float>();
  ParallelFor(0, panels * kernel, /*grain_size=*/1, [&](int64_t begin, int64_t end) {
    for (int64_t i = begin; i < end; ++i) {
      const int64_t column = i / kernel * kPanelColumns;
      PackTransposed({source + (column * kernel + i % kernel) * line, kernel * line},
                     std::min(kPanelColumns, out - column), line, target + i * line * kPanelColumns);
    }
  });
  return packed;
}

// Lines first_line to end_line - 1 of one image's result, all columns of some panels.
void ConvolveLines(const Convolution& task, int64_t image, int64_t first_line, int64_t end_line,
                   int64_t first_panel) {
  const int64_t in = task.images.size(1), out = task.result.size(1), width = task.result.size(3);
  const int64_t end_panel = std::min(first_panel + kGroupPanels, task.weights.size(0));
  const float* pixels = task.images.const_data_ptr<float>() + image * task.images.stride(0);
  const float* weights = task.weights.const_data_ptr<float>();
  float* result = task.result.mutable_data_ptr<float>() + image * task.result.stride(0);
  for (int64_t block = 0; block < task.kernel() * Quotient(task.line(), kBlockDepth); ++block) {
    const int64_t tap = block % task.kernel();
    const int64_t k = block / task.kernel() * kBlockDepth;
    const int64_t depth = std::min(kBlockDepth, task.line() - k);
    for (int64_t y = first_line; y < end_line; ++y) {
      const float* line = pixels + (y * task.stride + tap) * task.images.size(3) * in + k;
      for (int64_t x = 0; x < width; x += kTilePixels) {
        for (int64_t panel = first_panel; panel < end_panel; ++panel) {
          const int64_t column = panel * kPanelColumns;
          const Rows to{result + (y * width + x) * out + column, out};
          ConstRows base{to.data, to.stride};
          if (block == 0) base = {task.bias == nullptr ? nullptr : task.bias + column, 0};
          MultiplyPanel({line + x * task.stride * in, task.stride * in},
                        weights + ((panel * task.kernel() + tap) * task.line() + k) * kPanelColumns, depth,
                        base, to, {std::min(kTilePixels, width - x), std::min(kPanelColumns, out - column)});
        }
      }
    }
  }
}

}  // namespace

torch::Tensor ConvolutionByRow(const torch::Tensor& x, const torch::Tensor& weight, const torch::Tensor& bias,
                               int64_t stride, int64_t padding) {
  TORCH_CHECK(x.dim() == 4 && x.size(1) == weight.size(1), "expected ", weight.size(1),
              " channels, got an input of ", x.sizes());
  const int64_t kernel = weight.size(2);
  const torch::Tensor padded =
      padding == 0 ? x : at::constant_pad_nd(x, {padding, padding, padding, padding});
  TORCH_CHECK(padded.size(2) >= kernel && padded.size(3) >= kernel, "images of ", x.sizes(),
              " are smaller than the kernel");
  const int64_t height = (padded.size(2) - kernel) / stride + 1;
  const int64_t width = (padded.size(3) - kernel) / stride + 1;
  const Convolution task{.images = padded.contiguous(at::MemoryFormat::ChannelsLast),
                         .weights = PackKernel(weight),
                         .result = at::empty({x.size(0), weight.size(0), height, width}, x.options(),
                                             at::MemoryFormat::ChannelsLast),
                         .bias = bias.defined() ? bias.const_data_ptr<float>() : nullptr,
                         .stride = stride};
  const int64_t lines = Quotient(kTaskPixels, width);
  const int64_t bands = Quotient(height, lines);
  const int64_t groups = Quotient(task.weights.size(0), kGroupPanels);
  ParallelFor(0, x.size(0) * bands * groups, /*grain_size=*/1, [&](int64_t begin, int64_t end) {
    for (int64_t i = begin; i < end; ++i) {
      const int64_t first_line = i / groups % bands * lines;
      ConvolveLines(task, i / groups / bands, first_line, std::min(first_line + lines, height),
                    i % groups * kGroupPanels);
    }
  });
  return task.result;
}

}  // namespace kandinsky
