#include <utility>
#include <vector>

#include "absl/status/statusor.h"
#include "pipeline/kandinsky/stages.h"

namespace kandinsky {
namespace {

// [3, H, W] in about -1..1 to 8-bit RGB, rounding half to even as diffusers does.
Image ToImage(const torch::Tensor& pixels) {
  const torch::Tensor scaled = (pixels.to(torch::kFloat32) * 0.5 + 0.5).clamp(0, 1).mul(255).round();
  const torch::Tensor rows = scaled.to(torch::kUInt8).permute({1, 2, 0}).contiguous();
  const uint8_t* values = rows.data_ptr<uint8_t>();
  return {static_cast<int>(rows.size(1)),
          static_cast<int>(rows.size(0)),
          static_cast<int>(rows.size(2)),
          {values, values + rows.numel()}};
}

// The picture of one generation. One at a time also within a batch, for memory: at full size decoding takes
// 0.8 GB for 512x512 pixels and grows with the area.
absl::StatusOr<Image> Decode(const KandinskyModel& model, const torch::Tensor& latents) {
  const torch::Tensor pixels = model.movq->decode(latents.contiguous(at::MemoryFormat::ChannelsLast));
  if (!torch::isfinite(pixels).all().item<bool>()) {
    return absl::InternalError("the decoded picture is not finite");
  }
  return ToImage(pixels[0]);
}

}  // namespace

void RunDecodeStage(const KandinskyModel& model, absl::Span<KandinskyGeneration* const> batch) {
  std::vector<absl::StatusOr<Image>> images;
  for (const KandinskyGeneration* generation : batch) images.push_back(Decode(model, generation->latents));

  for (size_t i = 0; i < batch.size(); ++i) {
    batch[i]->latents.reset();
    if (!images[i].ok()) {
      batch[i]->Fail(images[i].status());
      continue;
    }
    batch[i]->result.image = *std::move(images[i]);
    batch[i]->EnterStage(Stage::kDone, "");
  }
}

}  // namespace kandinsky
