#include "pipeline/kandinsky/request_check.h"

#include <string>
#include <utility>
#include <variant>
#include <vector>

#include "absl/strings/str_cat.h"
#include "base/status_macros.h"
#include "pipeline/planned_steps.h"

namespace kandinsky {
namespace {

constexpr int64_t kLatentChannels = 4;

absl::Status Refuse(const std::string& message) { return absl::InvalidArgumentError(message); }

// One overload per thing to check; called through std::visit for the tasks.
class Checker {
 public:
  Checker(const Capabilities& capabilities, const GenerationRequest& request)
      : capabilities_(capabilities), request_(request) {}

  absl::Status Run() const {
    RETURN_IF_ERROR(CheckSize());
    RETURN_IF_ERROR(std::visit([this](const auto& task) { return Check(task); }, request_.task));
    for (const ImageEmbedding& embedding : {request_.image_embedding, request_.negative_image_embedding}) {
      if (embedding != nullptr) RETURN_IF_ERROR(CheckEmbedding("image_embedding", embedding));
    }
    if (!request_.prior_start) return absl::OkStatus();
    if (std::holds_alternative<Mix>(request_.task) || request_.negative_prior_prompt) {
      return Refuse("prior_start does not go with mix or negative_prior_prompt");
    }
    RETURN_IF_ERROR(
        CheckStrength("prior_start.strength", request_.prior_steps, request_.prior_start->strength));
    return std::visit([this](const auto& from) { return CheckEmbeddable("prior_start", from); },
                      request_.prior_start->from);
  }

 private:
  absl::Status CheckSize() const {
    const int multiple = capabilities_.size_multiple;
    if (request_.width >= multiple && request_.width % multiple == 0 && request_.height >= multiple &&
        request_.height % multiple == 0) {
      return absl::OkStatus();
    }
    return Refuse(absl::StrCat("width and height must be positive multiples of ", multiple));
  }

  absl::Status CheckNetwork(const char* network) const {
    if (capabilities_.network == network) return absl::OkStatus();
    return Refuse(absl::StrCat("the ", capabilities_.network, " network does not do this task"));
  }

  absl::Status CheckPicture(const char* field, const InputImage& image, int channels) const {
    if (image != nullptr && image->width == request_.width && image->height == request_.height &&
        image->channels == channels &&
        image->pixels.size() == image->row_bytes() * static_cast<size_t>(image->height)) {
      return absl::OkStatus();
    }
    return Refuse(absl::StrCat(field, " must have width x height pixels of ", channels, " channels"));
  }

  absl::Status CheckTensor(const char* field, const SharedFloatTensor& tensor,
                           const std::vector<int64_t>& shape) const {
    size_t count = 1;
    for (const int64_t size : shape) count *= static_cast<size_t>(size);
    if (tensor != nullptr && tensor->shape == shape && tensor->values.size() == count)
      return absl::OkStatus();
    return Refuse(absl::StrCat(field, " has the wrong shape"));
  }

  absl::Status CheckEmbedding(const char* field, const ImageEmbedding& embedding) const {
    return CheckTensor(field, embedding, {capabilities_.embedding_dim});
  }

  absl::Status CheckEmbeddable(const char* field, const ImageEmbedding& embedding) const {
    return CheckEmbedding(field, embedding);
  }
  absl::Status CheckEmbeddable(const char* field, const InputImage& image) const {
    if (!capabilities_.has_image_encoder) return Refuse("the model is loaded without its image encoder");
    const int size = capabilities_.clip_image_size;
    if (image != nullptr && image->width == size && image->height == size && image->channels == 3 &&
        image->pixels.size() == image->row_bytes() * static_cast<size_t>(size)) {
      return absl::OkStatus();
    }
    return Refuse(absl::StrCat(field, " must be an RGB picture of ", size, "x", size, " pixels"));
  }
  absl::Status CheckEmbeddable(const char*, const std::string&) const { return absl::OkStatus(); }

  static absl::Status CheckStrength(const char* field, int steps, float strength) {
    if (strength > 0 && strength <= 1 && StepsAtStrength(steps, strength) >= 1) return absl::OkStatus();
    return Refuse(absl::StrCat(field, " must be above 0 to 1 and leave at least one step"));
  }

  absl::Status CheckInit(const InitImage& init) const {
    RETURN_IF_ERROR(CheckStrength("strength", request_.steps, init.strength));
    return CheckPicture("image", init.image, 3);
  }

  absl::Status Check(const TextToImage&) const { return CheckNetwork("decoder"); }
  absl::Status Check(const ImageToImage& task) const {
    RETURN_IF_ERROR(CheckNetwork("decoder"));
    return CheckInit(task.init);
  }
  absl::Status Check(const Inpaint& task) const {
    RETURN_IF_ERROR(CheckNetwork("inpaint"));
    RETURN_IF_ERROR(CheckPicture("image", task.image, 3));
    return CheckPicture("mask", task.mask, 1);
  }
  absl::Status Check(const Mix& task) const {
    RETURN_IF_ERROR(CheckNetwork("decoder"));
    if (task.parts.empty()) return Refuse("mix needs at least one part");
    if (request_.image_embedding != nullptr) return Refuse("image_embedding does not go with mix");
    for (const MixPart& part : task.parts) {
      RETURN_IF_ERROR(std::visit(
          [this](const auto& content) { return CheckEmbeddable("mix.parts", content); }, part.content));
    }
    return absl::OkStatus();
  }
  absl::Status Check(const ControlNet& task) const {
    RETURN_IF_ERROR(CheckNetwork("controlnet_depth"));
    RETURN_IF_ERROR(CheckTensor("hint", task.hint, {3, request_.height, request_.width}));
    return task.init ? CheckInit(*task.init) : absl::OkStatus();
  }
  absl::Status Check(const EmbedText&) const { return absl::OkStatus(); }
  absl::Status Check(const EmbedImage& task) const { return CheckEmbeddable("image", task.image); }
  absl::Status Check(const EmbedPrompt&) const { return absl::OkStatus(); }
  absl::Status Check(const EncodeLatents& task) const {
    if (const auto* image = std::get_if<InputImage>(&task.image)) return CheckPicture("image", *image, 3);
    return CheckTensor("pixels", std::get<SharedFloatTensor>(task.image),
                       {3, request_.height, request_.width});
  }
  absl::Status Check(const DecodeLatents& task) const {
    const int scale = capabilities_.latent_scale;
    return CheckTensor("latents", task.latents,
                       {kLatentChannels, request_.height / scale, request_.width / scale});
  }

  const Capabilities& capabilities_;
  const GenerationRequest& request_;
};

}  // namespace

absl::Status CheckRequest(const Capabilities& capabilities, const GenerationRequest& request) {
  return Checker(capabilities, request).Run();
}

}  // namespace kandinsky
