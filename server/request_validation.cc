#include "server/request_validation.h"

#include <optional>
#include <utility>

#include "server/config.h"
#include "server/prior_validation.h"
#include "server/task_validation.h"

namespace kandinsky::server {
namespace {

constexpr int kMostPreviewSteps = 1000;
constexpr int kDefaultQuality = 90;
constexpr int kLatentChannels = 4;

// Checks field after field.
class Validator {
 public:
  Validator(const v1::GenerateRequest& request, const ValidationRules& rules)
      : request_(request), checks_(rules), image_(checks_.DefaultRequest()) {}

  std::variant<ValidatedRequest, std::vector<FieldViolation>> Run(
      const std::function<uint64_t()>& draw_seed) {
    ReadNumbers();
    const std::vector<uint64_t> seeds = CheckSeeds(draw_seed);
    const auto images = static_cast<int>(seeds.size());
    ReadPrior(request_, request_.has_image_embedding(), checks_, image_, validated_.inputs);
    ReadTask(request_, checks_, image_, validated_.inputs);
    ReadSampler();
    CheckOutput(request_.output(), checks_, validated_.encoding);
    CheckPreview();
    CheckNames();
    CheckPriority();
    checks_.CheckByModel(image_, images);
    CheckReply(images);
    if (checks_.count() > 0) return checks_.TakeViolations(*v1::GenerateRequest::descriptor());
    ValidatedRequest validated = std::move(validated_);
    validated.lacks = checks_.TakeLacks();
    if (!validated.lacks.empty()) return validated;
    validated.plan = std::make_shared<const Plan>(checks_.model().PlanOf(image_));
    for (const uint64_t seed : seeds) {
      image_.seed = seed;
      validated.images.push_back(image_);
    }
    return validated;
  }

 private:
  void ReadNumbers() {
    if (request_.has_width()) image_.width = request_.width();
    if (request_.has_height()) image_.height = request_.height();
    if (request_.has_steps()) image_.steps = request_.steps();
    if (request_.has_guidance_scale()) image_.guidance_scale = WithoutMinusZero(request_.guidance_scale());
  }

  void ReadSampler() {
    const std::optional<SamplerKind> sampler = ToNative(request_.sampler());
    if (!sampler.has_value()) checks_.Violate("sampler", "is not a known sampler");
    image_.sampler = sampler.value_or(SamplerKind::kModelDefault);
    image_.eta = WithoutMinusZero(request_.eta());
  }

  static std::optional<SamplerKind> ToNative(v1::Sampler sampler) {
    switch (sampler) {
      case v1::SAMPLER_UNSPECIFIED:
        return SamplerKind::kModelDefault;
      case v1::SAMPLER_DDPM:
        return SamplerKind::kDdpm;
      case v1::SAMPLER_DDIM:
        return SamplerKind::kDdim;
      case v1::SAMPLER_DDPM_LEARNED_RANGE:
        return SamplerKind::kDdpmLearnedRange;
      case v1::SAMPLER_EULER:
        return SamplerKind::kEuler;
      case v1::SAMPLER_EULER_ANCESTRAL:
        return SamplerKind::kEulerAncestral;
      case v1::SAMPLER_DPM_SOLVER_MULTISTEP:
        return SamplerKind::kDpmSolverMultistep;
      default:
        return std::nullopt;
    }
  }

  std::vector<uint64_t> CheckSeeds(const std::function<uint64_t()>& draw_seed) {
    return checks_.Seeds(
        {.count_field = "image_count",
         .count = request_.has_image_count() ? std::optional(request_.image_count()) : std::nullopt,
         .seed = request_.has_seed() ? std::optional(request_.seed()) : std::nullopt,
         .seeds = request_.seeds()},
        draw_seed);
  }

  void CheckPreview() {
    validated_.validate_only = request_.validate_only();
    if (validated_.encoding.format == v1::OUTPUT_FORMAT_LATENT)
      image_.output = {.image = false, .latents = true};
    if (!request_.preview().has_every_steps()) return;
    image_.preview_every_steps =
        checks_.Integer("preview.every_steps", request_.preview().every_steps(), 1, kMostPreviewSteps);
    if (checks_.reply() == ReplyKind::kUnary) checks_.Violate("preview", "is only possible in Generate");
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
        checks_.Violate("priority", "is not a known priority");
    }
    validated_.detach = request_.detach();
    if (validated_.detach && !request_.has_request_id()) checks_.Violate("detach", "needs a request_id");
  }

  void CheckNames() {
    checks_.Name("model", request_.model());
    checks_.Name("adapter", request_.adapter());
    image_.adapter = request_.adapter();
    validated_.request_id = request_.has_request_id() ? request_.request_id() : RandomHex(32);
    if (!IsValidName(validated_.request_id)) {
      checks_.Violate("request_id", "must have 1 to 128 characters of A-Z a-z 0-9 . _ -");
    }
  }

  void CheckReply(int images) {
    // Of a wrong size nothing is made.
    if (!checks_.AllowsSizeOf(image_)) return;
    const int64_t limit = checks_.limits().max_unary_reply_bytes();
    validated_.result_bytes = ResultBytes(validated_.encoding.format, image_.width, image_.height,
                                          checks_.capabilities().latent_scale);
    const int64_t reply_bytes = images * validated_.result_bytes;
    if (checks_.reply() == ReplyKind::kUnary && reply_bytes > limit) {
      checks_.Violate("output", "the images may take ", reply_bytes, " bytes, a single reply holds ", limit,
                      "; use Generate, fewer images or a smaller size");
    }
  }

  const v1::GenerateRequest& request_;
  FieldChecks checks_;
  ValidatedRequest validated_;
  GenerationRequest image_;
};

}  // namespace

void CheckOutput(const v1::OutputOptions& output, FieldChecks& checks, ResultEncoding& encoding) {
  encoding.format =
      output.format() == v1::OUTPUT_FORMAT_UNSPECIFIED ? v1::OUTPUT_FORMAT_PNG : output.format();
  if (!v1::OutputFormat_IsValid(output.format())) checks.Violate("output.format", "is not a known format");
  const bool lossy = encoding.format == v1::OUTPUT_FORMAT_JPEG || encoding.format == v1::OUTPUT_FORMAT_WEBP;
  encoding.quality = kDefaultQuality;
  if (output.has_quality()) {
    encoding.quality = checks.Integer("output.quality", output.quality(), 1, 100);
    if (!lossy) checks.Violate("output.quality", "must be unset unless output.format is JPEG or WEBP");
  }
  encoding.embed_parameters = output.embed_parameters();
  if (encoding.embed_parameters && encoding.format != v1::OUTPUT_FORMAT_PNG) {
    checks.Violate("output.embed_parameters", "must be false unless output.format is PNG");
  }
}

int64_t ResultBytes(v1::OutputFormat format, int width, int height, int latent_scale) {
  const int64_t area = int64_t{width} * height;
  switch (format) {
    case v1::OUTPUT_FORMAT_NONE:
      return 0;
    case v1::OUTPUT_FORMAT_LATENT:
      return area / (int64_t{latent_scale} * latent_scale) * kLatentChannels *
             static_cast<int64_t>(sizeof(float));
    default:
      return area * 3;
  }
}

std::variant<ValidatedRequest, std::vector<FieldViolation>> ValidateGenerateRequest(
    const v1::GenerateRequest& request, const ValidationRules& rules,
    const std::function<uint64_t()>& draw_seed) {
  return Validator(request, rules).Run(draw_seed);
}

}  // namespace kandinsky::server
