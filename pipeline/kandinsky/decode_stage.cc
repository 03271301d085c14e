#include <utility>
#include <vector>

#include "absl/status/statusor.h"
#include "pipeline/kandinsky/latent_preview.h"
#include "pipeline/kandinsky/stages.h"

namespace kandinsky {
namespace {

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
