#include "pipeline/request_rules.h"

#include <algorithm>
#include <string>
#include <utility>
#include <variant>

#include "absl/strings/str_cat.h"
#include "base/status_macros.h"
#include "imaging/paste_back.h"
#include "pipeline/hint_size.h"
#include "pipeline/request_steps.h"

namespace kandinsky {
namespace {

constexpr int64_t kLatentChannels = 4;

// Wide bounds: what is far beyond would overflow in the networks.
constexpr float kMaxWeight = 100;

// The rules for everything but the contents of images and tensors. Comparisons are written so that a NaN is
// refused.
class RuleChecker {
 public:
  RuleChecker(const Capabilities& capabilities, const GenerationRequest& request, const RequestLimits& limits)
      : capabilities_(capabilities), request_(request), limits_(limits) {}

  std::vector<Violation> Run() {
    const Task& task = request_.task;
    CheckLoaded();
    CheckTexts();
    if (MakesImage(task) || Is<EncodeLatents>() || Is<DecodeLatents>()) CheckSizes();
    if (MakesImage(task)) CheckDenoising();
    if (!capabilities_.has_prior) CheckWithoutPrior();
    // Also where the prior does not run: its random numbers are drawn.
    if (capabilities_.has_prior && EmbedsPrompt()) CheckPriorNumbers();
    std::visit([this](const auto& alternative) { Check(alternative); }, task);
    if (capabilities_.has_prior) {
      if (request_.mix) CheckMix(*request_.mix);
      CheckImageEmbedding();
      CheckPriorStart();
    }
    if (MakesImage(task) && work_is_known_) CheckWork();
    return std::move(violations_);
  }

 private:
  template <typename Alternative>
  bool Is() const {
    return std::holds_alternative<Alternative>(request_.task);
  }

  // Whether the task needs the image embedding of a prompt, or what stands for it.
  bool EmbedsPrompt() const { return MakesImage(request_.task) || Is<EmbedPrompt>(); }

  template <typename... Parts>
  void Violate(std::string field, const Parts&... parts) {
    violations_.push_back({.field = std::move(field), .rule = absl::StrCat(parts...)});
  }

  void Report(Lack lack, std::string field, std::string clause) {
    violations_.push_back({.field = std::move(field), .rule = std::move(clause), .lack = lack});
  }

  void CheckLoaded() {
    if (!Offers(capabilities_, request_.task)) {
      Report(Lack::kNetwork, TaskName(request_.task),
             absl::StrCat("the model's networks are: ", NetworkNames(capabilities_)));
    }
    if (!OffersAdapter(capabilities_, request_.task, request_.adapter)) {
      Report(Lack::kAdapter, "adapter", "the model has no adapters of this name for the task");
    }
  }

  void NeedImageEncoder(std::string field) {
    if (capabilities_.has_image_encoder) return;
    Report(Lack::kImageEncoder, std::move(field),
           "the model was loaded without an image encoder, so images cannot be embedded");
  }

  bool CheckInteger(const char* field, int value, int min, int max) {
    if (value >= min && value <= max) return true;
    Violate(field, "must be ", min, " to ", max);
    return false;
  }

  void CheckNumber(std::string field, float value, float min, float max) {
    if (value >= min && value <= max) return;
    Violate(std::move(field), "must be a finite number from ", min, " to ", max);
  }

  // Texts that nothing would read.
  void CheckTexts() {
    const bool mixes = EmbedsPrompt() && request_.mix.has_value();
    const bool given = MakesImage(request_.task) && request_.image_embedding != nullptr;
    if ((mixes || given) && !request_.prompt.empty()) {
      Violate("prompt", "must be empty with ", mixes ? "mix" : "image_embedding");
    }
    if (mixes || !given) return;
    for (const auto& [field, text] : {std::pair("negative_prompt", &request_.negative_prompt),
                                      std::pair("negative_prior_prompt", &request_.negative_prior_prompt)}) {
      if (!text->value_or("").empty()) Violate(field, "must be empty with image_embedding");
    }
  }

  void CheckSizes() {
    for (const auto& [field, edge] :
         {std::pair("width", request_.width), std::pair("height", request_.height)}) {
      if (AllowsSize(capabilities_, limits_, edge)) continue;
      Violate(field, SizeRule(capabilities_, limits_));
      work_is_known_ = false;
    }
  }

  void CheckDenoising() {
    steps_are_right_ =
        CheckInteger("steps", request_.steps, 1, std::min(capabilities_.max_steps, limits_.max_steps));
    work_is_known_ = work_is_known_ && steps_are_right_;
    CheckNumber("guidance_scale", request_.guidance_scale, 0, kMaxGuidance);
    const std::vector<SamplerKind>& offered = capabilities_.samplers;
    if (request_.sampler != SamplerKind::kModelDefault &&
        std::find(offered.begin(), offered.end(), request_.sampler) == offered.end()) {
      Violate("sampler", "is not offered by the model");
    }
    CheckNumber("eta", request_.eta, 0, 1);
    if (request_.eta > 0 && request_.eta <= 1 && request_.sampler != SamplerKind::kDdim) {
      Violate("eta", "must be 0 unless sampler is SAMPLER_DDIM");
    }
  }

  // Nothing reads an image embedding then, nor what would make one.
  void CheckWithoutPrior() {
    const auto refuse = [this](const char* field, bool given) {
      if (given) Violate(field, "must be unset: the model has no prior");
    };
    refuse("negative_prior_prompt", request_.negative_prior_prompt.has_value());
    refuse("prior_steps", request_.prior_steps != 0);
    refuse("prior_guidance_scale", request_.prior_guidance_scale != 0);
    refuse("prior_start", request_.prior_start.has_value());
    refuse("mix", request_.mix.has_value());
    refuse("image_embedding", request_.image_embedding != nullptr);
    refuse("negative_image_embedding", request_.negative_image_embedding != nullptr);
  }

  void CheckPriorNumbers() {
    const int max_steps = std::min(capabilities_.max_prior_steps, limits_.max_prior_steps);
    prior_steps_are_right_ = CheckInteger("prior_steps", request_.prior_steps, kMinPriorSteps, max_steps);
    CheckNumber("prior_guidance_scale", request_.prior_guidance_scale, 0, kMaxGuidance);
  }

  void CheckPriorStart() {
    if (!request_.prior_start) return;
    if (request_.mix) {
      Violate("prior_start", "must be unset with mix");
    } else if (MakesImage(request_.task) && request_.image_embedding != nullptr) {
      Violate("prior_start", "must be unset with image_embedding, which takes the prior's place");
    } else if (!RunsPrior(request_)) {
      Violate("prior_start", "does not go with this task");
    }
    if (request_.negative_prior_prompt) {
      Violate("prior_start", "must be unset with negative_prior_prompt");
    }
    CheckStrength("prior_start.strength", request_.prior_start->strength, request_.prior_steps,
                  prior_steps_are_right_);
    if (std::holds_alternative<InputImage>(request_.prior_start->from)) NeedImageEncoder("prior_start.image");
  }

  // A strength is judged by what it does to the steps; of wrong ones it would say nothing.
  bool CheckStrength(const char* field, double strength, int steps, bool steps_are_right) {
    if (!(strength > 0 && strength <= 1)) {
      Violate(field, "must be a number above 0 and at most 1");
      return false;
    }
    if (!steps_are_right || StepsAtStrength(steps, strength) >= 1) return true;
    Violate(field, "strength ", strength, " leaves none of ", steps,
            " steps; their product must be at least 1");
    return false;
  }

  void CheckInit(const char* field, const InitImage& init) {
    const bool is_right = CheckStrength(field, init.strength, request_.steps, steps_are_right_);
    work_is_known_ = work_is_known_ && is_right;
  }

  void Check(const TextToImage&) {}
  void Check(const ImageToImage& task) { CheckInit("image_to_image.strength", task.init); }
  void Check(const Inpaint& task) {
    constexpr char kField[] = "inpaint.feather_pixels";
    CheckInteger(kField, task.feather, 0, kMaxFeather);
    if (task.feather > 0 && !task.paste_back) Violate(kField, "must be 0 without paste_back");
  }
  void Check(const ControlNet& task) {
    if (task.init) CheckInit("control_net.strength", *task.init);
  }
  void Check(const EmbedText&) {}
  void Check(const EmbedImage&) { NeedImageEncoder("images"); }
  void Check(const EmbedPrompt&) {}
  void Check(const EncodeLatents&) {}
  void Check(const DecodeLatents&) {}

  void CheckMix(const Mix& mix) {
    if (!EmbedsPrompt()) return Violate("mix", "does not go with this task");
    // A list that is too long is not looked at: all that may be wrong with it would make a long answer.
    const auto count = static_cast<int64_t>(mix.parts.size());
    if (count < 1 || count > capabilities_.max_mix_parts) {
      return Violate("mix.parts", "must be 1 to ", capabilities_.max_mix_parts);
    }
    for (size_t i = 0; i < mix.parts.size(); ++i) {
      const std::string path = absl::StrCat("mix.parts[", i, "]");
      if (std::holds_alternative<InputImage>(mix.parts[i].content)) NeedImageEncoder(path + ".image");
      CheckNumber(path + ".weight", mix.parts[i].weight, -kMaxWeight, kMaxWeight);
    }
  }

  void CheckImageEmbedding() {
    if (request_.image_embedding == nullptr) return;
    if (!MakesImage(request_.task)) {
      Violate("image_embedding", "does not go with this task");
    } else if (request_.mix) {
      Violate("image_embedding", "must be unset with mix");
    }
  }

  void CheckWork() {
    const double area = static_cast<double>(int64_t{request_.width} * request_.height);
    const double work = area * limits_.images * DenoiseSteps(request_) / 1e6;
    if (work <= limits_.max_megapixel_steps) return;
    Violate("steps", "megapixels x images x steps that run must be at most ", limits_.max_megapixel_steps,
            ", this request has ", work);
  }

  const Capabilities& capabilities_;
  const GenerationRequest& request_;
  const RequestLimits& limits_;
  std::vector<Violation> violations_;
  bool steps_are_right_ = false;
  bool prior_steps_are_right_ = false;
  bool work_is_known_ = true;
};

// The contents of images and tensors; one overload per task.
class InputChecker {
 public:
  InputChecker(const Capabilities& capabilities, const GenerationRequest& request)
      : capabilities_(capabilities), request_(request) {}

  absl::Status Run() const {
    RETURN_IF_ERROR(std::visit([this](const auto& task) { return Check(task); }, request_.task));
    if (request_.mix) RETURN_IF_ERROR(CheckParts(*request_.mix));
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

  absl::Status CheckParts(const Mix& mix) const {
    for (const MixPart& part : mix.parts) {
      RETURN_IF_ERROR(std::visit(
          [this](const auto& content) { return CheckEmbeddable("mix.parts", content); }, part.content));
    }
    return absl::OkStatus();
  }

  absl::Status Check(const TextToImage&) const { return absl::OkStatus(); }
  absl::Status Check(const ImageToImage& task) const { return CheckImage("image", task.init.image, 3); }
  absl::Status Check(const Inpaint& task) const {
    RETURN_IF_ERROR(CheckImage("image", task.image, 3));
    return CheckImage("mask", task.mask, 1);
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

std::vector<Violation> CheckRequest(const Capabilities& capabilities, const GenerationRequest& request,
                                    const RequestLimits& limits) {
  return RuleChecker(capabilities, request, limits).Run();
}

absl::Status CheckInputs(const Capabilities& capabilities, const GenerationRequest& request) {
  return InputChecker(capabilities, request).Run();
}

}  // namespace kandinsky
