#include "pipeline/diffusion/input_tensors.h"

#include <ATen/ATen.h>

namespace kandinsky {
namespace {

// [1, channels, height, width] float32, 0..255.
torch::Tensor ToChannelsFirst(const Image& image) {
  const torch::Tensor rows = torch::from_blob(const_cast<uint8_t*>(image.pixels.data()),
                                              {image.height, image.width, image.channels}, torch::kUInt8);
  return rows.to(torch::kFloat32).permute({2, 0, 1}).contiguous().unsqueeze(0);
}

// `mask` moved by (down, right); what comes in from outside is false.
torch::Tensor Shifted(const torch::Tensor& mask, int64_t down, int64_t right) {
  const int64_t height = mask.size(2);
  const int64_t width = mask.size(3);
  const torch::Tensor padded = at::constant_pad_nd(mask, {1, 1, 1, 1}, 0);
  return padded.narrow(2, 1 - down, height).narrow(3, 1 - right, width);
}

}  // namespace

torch::Tensor ToPixels(const Image& image) { return ToChannelsFirst(image) / 127.5f - 1.0f; }

torch::Tensor ToClipPixels(const Image& image, const torch::Tensor& mean, const torch::Tensor& std) {
  const torch::Tensor colors = ToChannelsFirst(image) * static_cast<float>(1.0 / 255.0);
  return (colors - mean.view({1, 3, 1, 1})) / std.view({1, 3, 1, 1});
}

torch::Tensor BinaryKeepMask(const Image& mask, int64_t height, int64_t width) {
  const torch::Tensor repainted = at::ge(ToChannelsFirst(mask) / 255.0f, 0.5);
  const torch::Tensor cells =
      at::upsample_nearest2d(repainted.to(torch::kFloat32), {height, width}).to(torch::kBool);
  torch::Tensor grown = cells;
  for (const auto& [down, right] :
       {std::pair<int64_t, int64_t>{-1, 0}, {0, -1}, {-1, -1}, {1, 0}, {0, 1}, {1, 1}}) {
    grown = at::logical_or(grown, Shifted(cells, down, right));
  }
  return 1.0f - grown.to(torch::kFloat32);
}

torch::Tensor SoftKeepMask(const Image& mask, int64_t height, int64_t width) {
  return 1.0f - at::adaptive_avg_pool2d(ToChannelsFirst(mask) / 255.0f, {height, width});
}

}  // namespace kandinsky
