#include <optional>
#include <utility>
#include <variant>
#include <vector>

#include "absl/status/statusor.h"
#include "base/status_macros.h"
#include "imaging/paste_back.h"
#include "pipeline/kandinsky/input_tensors.h"
#include "pipeline/kandinsky/latent_preview.h"
#include "pipeline/kandinsky/stages.h"

namespace kandinsky {
namespace {

// The kept pixels of an inpainting, where they are wanted back as they were.
absl::StatusOr<Image> WithKeptPixels(const Task& task, Image image) {
  const auto* inpaint = std::get_if<Inpaint>(&task);
  if (inpaint == nullptr || !inpaint->paste_back) return image;
  return PasteBack(image, *inpaint->image, *inpaint->mask, inpaint->feather);
}

struct Decoded {
  std::optional<Image> image;
  std::optional<FloatTensor> pixels;
};

// The picture of one generation. One at a time also within a batch, for memory: at full size decoding takes
// 0.8 GB for 512x512 pixels and grows with the area.
absl::StatusOr<Decoded> Decode(const KandinskyModel& model, const KandinskyGeneration& generation) {
  const torch::Tensor pixels =
      model.movq->decode(generation.latents.contiguous(at::MemoryFormat::ChannelsLast));
  if (!torch::isfinite(pixels).all().item<bool>()) {
    return absl::InternalError("the decoded picture is not finite");
  }
  Decoded decoded;
  if (generation.request.output.pixels) decoded.pixels = ToFloatTensor(pixels);
  if (generation.request.output.image) {
    ASSIGN_OR_RETURN(decoded.image, WithKeptPixels(generation.request.task, ToImage(pixels[0])));
  }
  return decoded;
}

}  // namespace

void RunDecodeStage(const KandinskyModel& model, absl::Span<KandinskyGeneration* const> batch) {
  std::vector<absl::StatusOr<Decoded>> decoded;
  for (const KandinskyGeneration* generation : batch) decoded.push_back(Decode(model, *generation));

  for (size_t i = 0; i < batch.size(); ++i) {
    batch[i]->latents.reset();
    if (!decoded[i].ok()) {
      batch[i]->Fail(decoded[i].status());
      continue;
    }
    batch[i]->result.image = std::move(decoded[i]->image);
    batch[i]->result.pixels = std::move(decoded[i]->pixels);
    batch[i]->FinishStep();
  }
}

}  // namespace kandinsky
