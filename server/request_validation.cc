#include "server/request_validation.h"

#include <algorithm>
#include <cmath>
#include <optional>
#include <utility>

#include "absl/strings/str_cat.h"
#include "server/config.h"
#include "server/prompt_text.h"

namespace kandinsky {
namespace {

constexpr int kSmallestSize = 64;
constexpr int kSmallestPriorSteps = 2;
constexpr int kMostPreviewSteps = 1000;
constexpr float kLargestGuidance = 100;
constexpr int64_t kLatentScale = 8;  // pixels per latent pixel, in both directions
constexpr int kLatentChannels = 4;

// Checks field after field, collecting what is wrong; values that are wrong are replaced by harmless ones so
// that the following checks can go on.
class Validator {
 public:
  Validator(const v1::GenerateRequest& request, const ValidationRules& rules)
      : request_(request), limits_(rules.limits), capabilities_(rules.capabilities), reply_(rules.reply) {}

  std::variant<ValidatedRequest, std::vector<FieldViolation>> Run(
      const std::function<uint64_t()>& draw_seed) {
    CheckPrompts();
    CheckSizes();
    CheckNumbers();
    CheckSampler();
    const std::vector<uint64_t> seeds = CheckSeeds(draw_seed);
    CheckFormat();
    CheckPreview();
    CheckNames();
    CheckPriority();
    CheckBudgets(static_cast<int64_t>(seeds.size()));
    if (!violations_.empty()) return std::move(violations_);
    ValidatedRequest validated = std::move(validated_);
    for (const uint64_t seed : seeds) {
      image_.seed = seed;
      validated.images.push_back(image_);
    }
    return validated;
  }

 private:
  template <typename... Parts>
  void Violate(const char* field, const Parts&... parts) {
    violations_.push_back({field, absl::StrCat(parts...)});
  }

  void CheckPrompts() {
    CheckText("prompt", request_.prompt());
    if (violations_.empty() && IsBlank(request_.prompt())) Violate("prompt", "must not be blank");
    image_.prompt = request_.prompt();
    image_.strict_prompt = request_.strict_prompt();
    if (!request_.has_negative_prompt()) return;
    CheckText("negative_prompt", request_.negative_prompt());
    image_.negative_prompt = request_.negative_prompt();
  }

  void CheckText(const char* field, const std::string& text) {
    const auto violation = PromptTextViolation(text, static_cast<size_t>(limits_.max_prompt_bytes()));
    if (violation.has_value()) Violate(field, *violation);
  }

  void CheckSizes() {
    image_.width = request_.has_width() ? CheckSize("width", request_.width()) : DefaultSize(image_.width);
    image_.height =
        request_.has_height() ? CheckSize("height", request_.height()) : DefaultSize(image_.height);
  }

  // A default obeys the operator's limits and the model's multiple like a given value, but is never refused.
  int DefaultSize(int size) const {
    const int multiple = capabilities_.size_multiple;
    return std::max(multiple, std::min(size, limits_.max_size()) / multiple * multiple);
  }

  int CheckSize(const char* field, int size) {
    const int multiple = capabilities_.size_multiple;
    const int smallest = std::min(kSmallestSize, multiple);
    if (size >= smallest && size <= limits_.max_size() && size % multiple == 0) return size;
    Violate(field, "must be a multiple of ", multiple, " from ", smallest, " to ", limits_.max_size(),
            " pixels");
    return smallest;
  }

  void CheckNumbers() {
    const int most_steps = std::min(limits_.max_steps(), capabilities_.max_steps);
    image_.steps = request_.has_steps() ? CheckInt("steps", request_.steps(), 1, most_steps)
                                        : std::min(image_.steps, most_steps);
    if (request_.has_guidance_scale()) {
      image_.guidance_scale = CheckFloat("guidance_scale", request_.guidance_scale(), kLargestGuidance);
    }
    const int most_prior_steps = std::min(limits_.max_prior_steps(), capabilities_.max_prior_steps);
    image_.prior_steps = request_.has_prior_steps() ? CheckInt("prior_steps", request_.prior_steps(),
                                                               kSmallestPriorSteps, most_prior_steps)
                                                    : std::min(image_.prior_steps, most_prior_steps);
    if (request_.has_prior_guidance_scale()) {
      image_.prior_guidance_scale =
          CheckFloat("prior_guidance_scale", request_.prior_guidance_scale(), kLargestGuidance);
    }
  }

  int CheckInt(const char* field, int value, int min, int max) {
    if (value >= min && value <= max) return value;
    Violate(field, "must be ", min, " to ", max);
    return min;
  }

  float CheckFloat(const char* field, float value, float max) {
    // Written so that a NaN is refused too.
    if (value >= 0 && value <= max) return std::abs(value);  // -0 becomes 0
    Violate(field, "must be a finite number from 0 to ", max);
    return 0;
  }

  void CheckSampler() {
    switch (request_.sampler()) {
      case v1::SAMPLER_UNSPECIFIED:
        break;
      case v1::SAMPLER_DDPM:
        ChooseSampler(SamplerKind::kDdpm);
        break;
      case v1::SAMPLER_DDIM:
        ChooseSampler(SamplerKind::kDdim);
        break;
      default:
        Violate("sampler", "is not a known sampler");
    }
    if (!request_.has_eta()) return;
    image_.eta = CheckFloat("eta", request_.eta(), 1);
    if (image_.eta > 0 && image_.sampler != SamplerKind::kDdim) {
      Violate("eta", "must be 0 unless sampler is SAMPLER_DDIM");
    }
  }

  void ChooseSampler(SamplerKind kind) {
    const std::vector<SamplerKind>& offered = capabilities_.samplers;
    if (std::find(offered.begin(), offered.end(), kind) == offered.end()) {
      Violate("sampler", "is not offered by the model");
    }
    image_.sampler = kind;
  }

  std::vector<uint64_t> CheckSeeds(const std::function<uint64_t()>& draw_seed) {
    const int given = request_.seeds_size();
    int count = 1;
    if (request_.has_image_count()) {
      count = CheckInt("image_count", request_.image_count(), 1, limits_.max_images());
      if (given > 0 && given != request_.image_count())
        Violate("seeds", "must be empty or image_count seeds");
    } else if (given > 0) {
      count = given;
    }
    if (given > limits_.max_images()) {
      Violate("seeds", "must be at most ", limits_.max_images());
      return {0};
    }
    if (given > 0) return {request_.seeds().begin(), request_.seeds().end()};
    const uint64_t first = request_.has_seed() ? request_.seed() : draw_seed();
    std::vector<uint64_t> seeds;
    seeds.reserve(static_cast<size_t>(count));
    for (int i = 0; i < count; ++i) seeds.push_back(first + static_cast<uint64_t>(i));
    return seeds;
  }

  void CheckFormat() {
    validated_.validate_only = request_.validate_only();
    validated_.format = request_.output().format();
    switch (request_.output().format()) {
      case v1::OUTPUT_FORMAT_UNSPECIFIED:
        validated_.format = v1::OUTPUT_FORMAT_PNG;
        break;
      case v1::OUTPUT_FORMAT_PNG:
      case v1::OUTPUT_FORMAT_RAW_RGB:
      case v1::OUTPUT_FORMAT_NONE:
        break;
      case v1::OUTPUT_FORMAT_LATENT:
        image_.output = {.image = false, .latents = true};
        break;
      default:
        Violate("output.format", "is not a known format");
    }
  }

  void CheckPreview() {
    if (!request_.preview().has_every_steps()) return;
    image_.preview_every_steps =
        CheckInt("preview.every_steps", request_.preview().every_steps(), 1, kMostPreviewSteps);
    if (reply_ == ReplyKind::kUnary) Violate("preview", "is only possible in Generate");
  }

  void CheckPriority() {
    switch (request_.priority()) {
      case v1::PRIORITY_UNSPECIFIED:
      case v1::PRIORITY_NORMAL:
        break;
      case v1::PRIORITY_LOW:
        validated_.priority = Priority::kLow;
        break;
      case v1::PRIORITY_HIGH:
        validated_.priority = Priority::kHigh;
        break;
      default:
        Violate("priority", "is not a known priority");
    }
    validated_.detach = request_.detach();
    if (validated_.detach && !request_.has_request_id()) Violate("detach", "needs a request_id");
  }

  void CheckNames() {
    if (!request_.model().empty() && !IsValidName(request_.model())) {
      Violate("model", "must have 1 to 128 characters of A-Z a-z 0-9 . _ -");
    }
    validated_.request_id = request_.has_request_id() ? request_.request_id() : RandomHex(32);
    if (!IsValidName(validated_.request_id)) {
      Violate("request_id", "must have 1 to 128 characters of A-Z a-z 0-9 . _ -");
    }
  }

  void CheckBudgets(int64_t images) {
    const int64_t area = static_cast<int64_t>(image_.width) * image_.height;
    const double work = static_cast<double>(area) * static_cast<double>(images) * image_.steps / 1e6;
    if (work > limits_.max_megapixel_steps()) {
      Violate("steps", "megapixels x images x steps must be at most ", limits_.max_megapixel_steps(),
              ", this request has ", work);
    }
    const int64_t reply_bytes = images * ResultBytes(validated_.format, image_.width, image_.height);
    if (reply_ == ReplyKind::kUnary && reply_bytes > limits_.max_unary_reply_bytes()) {
      Violate("output", "the images may take ", reply_bytes, " bytes, a single reply holds ",
              limits_.max_unary_reply_bytes(), "; use Generate, fewer images or a smaller size");
    }
  }

  const v1::GenerateRequest& request_;
  const v1::LimitsConfig& limits_;
  const Capabilities& capabilities_;
  const ReplyKind reply_;
  std::vector<FieldViolation> violations_;
  ValidatedRequest validated_;
  GenerationRequest image_;
};

}  // namespace

int64_t ResultBytes(v1::OutputFormat format, int width, int height) {
  const int64_t area = int64_t{width} * height;
  switch (format) {
    case v1::OUTPUT_FORMAT_NONE:
      return 0;
    case v1::OUTPUT_FORMAT_LATENT:
      return area / (kLatentScale * kLatentScale) * kLatentChannels * static_cast<int64_t>(sizeof(float));
    default:
      return area * 3;
  }
}

std::variant<ValidatedRequest, std::vector<FieldViolation>> ValidateGenerateRequest(
    const v1::GenerateRequest& request, const ValidationRules& rules,
    const std::function<uint64_t()>& draw_seed) {
  return Validator(request, rules).Run(draw_seed);
}

}  // namespace kandinsky
