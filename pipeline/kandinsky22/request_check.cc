#include "pipeline/kandinsky22/request_check.h"

#include <algorithm>
#include <string>
#include <utility>
#include <variant>

#include "absl/strings/str_cat.h"
#include "base/status_macros.h"
#include "imaging/paste_back.h"
#include "pipeline/hint_size.h"
#include "pipeline/kandinsky22/request_plan.h"

namespace kandinsky {
namespace {

constexpr int64_t kLatentChannels = 4;

// The rules for everything but the contents of images and tensors.
class RuleChecker {
 public:
  RuleChecker(const Capabilities& capabilities, const GenerationRequest& request)
      : capabilities_(capabilities), request_(request) {}

  std::vector<Violation> Run() {
    if (!Offers(capabilities_, request_.task)) {
      Violate("task", TaskName(request_.task),
              " needs another network; the model's networks are: ", NetworkNames(capabilities_));
    }
    CheckSizes();
    CheckSampler();
    if (!OffersAdapter(capabilities_, request_.task, request_.adapter)) {
      Violate("adapter", "is not offered by the model for this task");
    }
    // Also where the prior does not run: its random numbers are drawn.
    if (request_.prior_steps < 2 || request_.prior_steps > capabilities_.max_prior_steps) {
      Violate("prior_steps", "must be 2 to ", capabilities_.max_prior_steps, ", not ", request_.prior_steps);
    }
    std::visit([this](const auto& task) { Check(task); }, request_.task);
    const bool embeds = MakesImage(request_.task) && !std::holds_alternative<Mix>(request_.task);
    if (request_.image_embedding != nullptr && !embeds) {
      Violate("image_embedding", "does not go with this task");
    }
    CheckPriorStart();
    return std::move(violations_);
  }

 private:
  template <typename... Parts>
  void Violate(std::string field, const Parts&... parts) {
    violations_.push_back({std::move(field), absl::StrCat(parts...)});
  }

  void CheckSizes() {
    const int multiple = capabilities_.size_multiple;
    for (const auto& [field, edge] :
         {std::pair("width", request_.width), std::pair("height", request_.height)}) {
      if (edge < multiple || edge % multiple != 0)
        Violate(field, "must be a positive multiple of ", multiple);
    }
  }

  void CheckSampler() {
    const std::vector<SamplerKind>& offered = capabilities_.samplers;
    if (request_.sampler == SamplerKind::kModelDefault ||
        std::find(offered.begin(), offered.end(), request_.sampler) != offered.end()) {
      return;
    }
    Violate("sampler", "is not offered by the model");
  }

  void CheckPriorStart() {
    if (!request_.prior_start) return;
    if (!RunsPrior(request_) || std::holds_alternative<Mix>(request_.task) ||
        request_.negative_prior_prompt) {
      Violate("prior_start", "needs a prior that runs, and neither mix nor negative_prior_prompt");
    }
    CheckStrength("prior_start.strength", request_.prior_steps, request_.prior_start->strength);
    if (std::holds_alternative<InputImage>(request_.prior_start->from)) NeedImageEncoder("prior_start.image");
  }

  void NeedImageEncoder(const std::string& field) {
    if (!capabilities_.has_image_encoder) Violate(field, "needs the image encoder, which is not loaded");
  }

  void CheckStrength(const std::string& field, int steps, double strength) {
    if (strength > 0 && strength <= 1 && StepsAtStrength(steps, strength) >= 1) return;
    Violate(field, "must be above 0 to 1 and leave at least one step");
  }

  void Check(const TextToImage&) {}
  void Check(const ImageToImage& task) {
    CheckStrength("image_to_image.strength", request_.steps, task.init.strength);
  }
  void Check(const Inpaint& task) {
    if (task.feather < 0 || task.feather > kMaxFeather) {
      Violate("inpaint.feather", "must be 0 to ", kMaxFeather);
    }
  }
  void Check(const Mix& task) {
    if (task.parts.empty()) Violate("mix", "needs at least one part");
    for (size_t i = 0; i < task.parts.size(); ++i) {
      if (!std::holds_alternative<InputImage>(task.parts[i].content)) continue;
      NeedImageEncoder(absl::StrCat("mix.parts[", i, "].image"));
    }
  }
  void Check(const ControlNet& task) {
    if (task.init) CheckStrength("control_net.strength", request_.steps, task.init->strength);
  }
  void Check(const EmbedText&) {}
  void Check(const EmbedImage&) { NeedImageEncoder("image"); }
  void Check(const EmbedPrompt&) {}
  void Check(const EncodeLatents&) {}
  void Check(const DecodeLatents&) {}

  const Capabilities& capabilities_;
  const GenerationRequest& request_;
  std::vector<Violation> violations_;
};

// The contents of images and tensors; one overload per task.
class InputChecker {
 public:
  InputChecker(const Capabilities& capabilities, const GenerationRequest& request)
      : capabilities_(capabilities), request_(request) {}

  absl::Status Run() const {
    RETURN_IF_ERROR(std::visit([this](const auto& task) { return Check(task); }, request_.task));
    for (const auto& [field, embedding] :
         {std::pair("image_embedding", request_.image_embedding),
          std::pair("negative_image_embedding", request_.negative_image_embedding)}) {
      if (embedding != nullptr) RETURN_IF_ERROR(CheckEmbeddable(field, embedding));
    }
    if (!request_.prior_start) return absl::OkStatus();
    return std::visit([this](const auto& from) { return CheckEmbeddable("prior_start", from); },
                      request_.prior_start->from);
  }

 private:
  static absl::Status Refuse(const std::string& message) { return absl::InvalidArgumentError(message); }

  static bool HasSize(const InputImage& image, int width, int height, int channels) {
    return image != nullptr && image->width == width && image->height == height &&
           image->channels == channels &&
           image->pixels.size() == image->row_bytes() * static_cast<size_t>(image->height);
  }

  absl::Status CheckImage(const char* field, const InputImage& image, int channels) const {
    if (HasSize(image, request_.width, request_.height, channels)) return absl::OkStatus();
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

  absl::Status CheckEmbeddable(const char* field, const ImageEmbedding& embedding) const {
    return CheckTensor(field, embedding, {capabilities_.embedding_dim});
  }
  absl::Status CheckEmbeddable(const char* field, const InputImage& image) const {
    const int size = capabilities_.clip_image_size;
    if (HasSize(image, size, size, 3)) return absl::OkStatus();
    return Refuse(absl::StrCat(field, " must be an RGB image of ", size, "x", size, " pixels"));
  }
  absl::Status CheckEmbeddable(const char*, const std::string&) const { return absl::OkStatus(); }

  absl::Status Check(const TextToImage&) const { return absl::OkStatus(); }
  absl::Status Check(const ImageToImage& task) const { return CheckImage("image", task.init.image, 3); }
  absl::Status Check(const Inpaint& task) const {
    RETURN_IF_ERROR(CheckImage("image", task.image, 3));
    return CheckImage("mask", task.mask, 1);
  }
  absl::Status Check(const Mix& task) const {
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
    return task.init ? CheckImage("image", task.init->image, 3) : absl::OkStatus();
  }
  absl::Status Check(const EmbedText&) const { return absl::OkStatus(); }
  absl::Status Check(const EmbedImage& task) const { return CheckEmbeddable("image", task.image); }
  absl::Status Check(const EmbedPrompt&) const { return absl::OkStatus(); }
  absl::Status Check(const EncodeLatents& task) const {
    if (const auto* image = std::get_if<InputImage>(&task.image)) return CheckImage("image", *image, 3);
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

std::vector<Violation> CheckRequest(const Capabilities& capabilities, const GenerationRequest& request) {
  return RuleChecker(capabilities, request).Run();
}

absl::Status CheckInputs(const Capabilities& capabilities, const GenerationRequest& request) {
  return InputChecker(capabilities, request).Run();
}

}  // namespace kandinsky
