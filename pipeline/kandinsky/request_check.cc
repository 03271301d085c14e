#include "pipeline/kandinsky/request_check.h"

#include <algorithm>
#include <string>
#include <utility>
#include <variant>
#include <vector>

#include "absl/strings/str_cat.h"
#include "base/status_macros.h"
#include "imaging/paste_back.h"
#include "pipeline/hint_size.h"
#include "pipeline/planned_steps.h"
#include "pipeline/task_network.h"

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
    if (!Offers(capabilities_, request_.task)) {
      return Refuse(absl::StrCat("the ", capabilities_.network, " network does not do this task"));
    }
    RETURN_IF_ERROR(CheckSize());
    RETURN_IF_ERROR(CheckSampler());
    RETURN_IF_ERROR(CheckAdapter());
    RETURN_IF_ERROR(CheckPriorSteps());
    RETURN_IF_ERROR(std::visit([this](const auto& task) { return Check(task); }, request_.task));
    RETURN_IF_ERROR(CheckGivenEmbeddings());
    return CheckPriorStart();
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

  absl::Status CheckSampler() const {
    const std::vector<SamplerKind>& offered = capabilities_.samplers;
    if (request_.sampler == SamplerKind::kModelDefault ||
        std::find(offered.begin(), offered.end(), request_.sampler) != offered.end()) {
      return absl::OkStatus();
    }
    return Refuse("sampler is not offered by the model");
  }

  absl::Status CheckAdapter() const {
    if (OffersAdapter(capabilities_, request_.task, request_.adapter)) return absl::OkStatus();
    return Refuse("adapter is not offered by the model for this task");
  }

  // Also where the prior does not run: its random numbers are drawn.
  absl::Status CheckPriorSteps() const {
    if (request_.prior_steps >= 2 && request_.prior_steps <= capabilities_.max_prior_steps)
      return absl::OkStatus();
    return Refuse(absl::StrCat("prior_steps must be within 2..", capabilities_.max_prior_steps, ", got ",
                               request_.prior_steps));
  }

  absl::Status CheckGivenEmbeddings() const {
    const bool embeds = MakesImage(request_.task) && !std::holds_alternative<Mix>(request_.task);
    if (request_.image_embedding != nullptr) {
      if (!embeds) return Refuse("image_embedding does not go with this task");
      RETURN_IF_ERROR(CheckEmbedding("image_embedding", request_.image_embedding));
    }
    if (request_.negative_image_embedding == nullptr) return absl::OkStatus();
    return CheckEmbedding("negative_image_embedding", request_.negative_image_embedding);
  }

  absl::Status CheckPriorStart() const {
    if (!request_.prior_start) return absl::OkStatus();
    if (!RunsPrior(request_) || std::holds_alternative<Mix>(request_.task) ||
        request_.negative_prior_prompt) {
      return Refuse("prior_start needs a prior that runs, and neither mix nor negative_prior_prompt");
    }
    RETURN_IF_ERROR(
        CheckStrength("prior_start.strength", request_.prior_steps, request_.prior_start->strength));
    return std::visit([this](const auto& from) { return CheckEmbeddable("prior_start", from); },
                      request_.prior_start->from);
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

  static absl::Status CheckStrength(const char* field, int steps, double strength) {
    if (strength > 0 && strength <= 1 && StepsAtStrength(steps, strength) >= 1) return absl::OkStatus();
    return Refuse(absl::StrCat(field, " must be above 0 to 1 and leave at least one step"));
  }

  absl::Status CheckInit(const InitImage& init) const {
    RETURN_IF_ERROR(CheckStrength("strength", request_.steps, init.strength));
    return CheckPicture("image", init.image, 3);
  }

  absl::Status Check(const TextToImage&) const { return absl::OkStatus(); }
  absl::Status Check(const ImageToImage& task) const { return CheckInit(task.init); }
  absl::Status Check(const Inpaint& task) const {
    RETURN_IF_ERROR(CheckPicture("image", task.image, 3));
    if (task.feather < 0 || task.feather > kMaxFeather) {
      return Refuse(absl::StrCat("feather must be within 0..", kMaxFeather));
    }
    return CheckPicture("mask", task.mask, 1);
  }
  absl::Status Check(const Mix& task) const {
    if (task.parts.empty()) return Refuse("mix needs at least one part");
    for (const MixPart& part : task.parts) {
      RETURN_IF_ERROR(std::visit(
          [this](const auto& content) { return CheckEmbeddable("mix.parts", content); }, part.content));
    }
    return absl::OkStatus();
  }
  absl::Status Check(const ControlNet& task) const {
    const int scale = capabilities_.latent_scale;
    RETURN_IF_ERROR(CheckTensor("hint", task.hint,
                                {3, HintEdge(request_.height, scale), HintEdge(request_.width, scale)}));
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
