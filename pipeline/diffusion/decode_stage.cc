#include <optional>
#include <utility>
#include <variant>
#include <vector>

#include "absl/status/statusor.h"
#include "base/status_macros.h"
#include "imaging/paste_back.h"
#include "pipeline/diffusion/input_tensors.h"
#include "pipeline/diffusion/latent_preview.h"
#include "pipeline/diffusion/stages.h"

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

// The image of one sample. One at a time also within a batch, for memory: at full size decoding takes
// 0.8 GB for 512x512 pixels and grows with the area.
absl::StatusOr<Decoded> Decode(const DiffusionModel& model, const DiffusionSample& sample) {
  const torch::Tensor pixels = model.autoencoder->Decode(sample.latents);
  if (!torch::isfinite(pixels).all().item<bool>()) {
    return absl::InternalError("the decoded image is not finite");
  }
  Decoded decoded;
  if (sample.request.output.pixels) decoded.pixels = ToFloatTensor(pixels);
  if (sample.request.output.image) {
    ASSIGN_OR_RETURN(decoded.image, WithKeptPixels(sample.request.task, ToImage(pixels[0])));
  }
  return decoded;
}

}  // namespace

void RunDecodeStage(const DiffusionModel& model, absl::Span<DiffusionSample* const> batch) {
  std::vector<absl::StatusOr<Decoded>> decoded;
  for (const DiffusionSample* sample : batch) decoded.push_back(Decode(model, *sample));

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
