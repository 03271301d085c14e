#include <utility>
#include <vector>

#include "pipeline/kandinsky/stages.h"

namespace kandinsky {
namespace {

// [3, H, W] in about -1..1 to 8-bit RGB, rounding half to even as diffusers does.
Image ToImage(const torch::Tensor& pixels) {
  const torch::Tensor scaled = (pixels.to(torch::kFloat32) * 0.5 + 0.5).clamp(0, 1).mul(255).round();
  const torch::Tensor rows = scaled.to(torch::kUInt8).permute({1, 2, 0}).contiguous();
  const uint8_t* values = rows.data_ptr<uint8_t>();
  return {static_cast<int>(rows.size(1)), static_cast<int>(rows.size(0)), static_cast<int>(rows.size(2)),
          {values, values + rows.numel()}};
}

}  // namespace

void RunDecodeStage(const KandinskyModel& model, absl::Span<KandinskyGeneration* const> batch) {
  std::vector<torch::Tensor> latents;
  for (const KandinskyGeneration* generation : batch) latents.push_back(generation->latents);
  const torch::Tensor pixels =
      model.movq->decode(torch::cat(latents).contiguous(at::MemoryFormat::ChannelsLast));
  std::vector<Image> images;
  for (int64_t row = 0; row < pixels.size(0); ++row) images.push_back(ToImage(pixels[row]));
  for (size_t i = 0; i < batch.size(); ++i) {
    batch[i]->result.image = std::move(images[i]);
    batch[i]->latents.reset();
    batch[i]->EnterStage(Stage::kDone, "");
  }
}

}  // namespace kandinsky
