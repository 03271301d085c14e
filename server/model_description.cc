#include "server/model_description.h"

#include <algorithm>

#include "server/event_conversion.h"
#include "server/field_checks.h"

namespace kandinsky::server {
namespace {

v1::Sampler WireSampler(SamplerKind sampler) {
  switch (sampler) {
    case SamplerKind::kModelDefault:
      break;
    case SamplerKind::kDdpm:
      return v1::SAMPLER_DDPM;
    case SamplerKind::kDdim:
      return v1::SAMPLER_DDIM;
    case SamplerKind::kDdpmLearnedRange:
      return v1::SAMPLER_DDPM_LEARNED_RANGE;
    case SamplerKind::kEuler:
      return v1::SAMPLER_EULER;
    case SamplerKind::kEulerAncestral:
      return v1::SAMPLER_EULER_ANCESTRAL;
    case SamplerKind::kDpmSolverMultistep:
      return v1::SAMPLER_DPM_SOLVER_MULTISTEP;
  }
  return v1::SAMPLER_UNSPECIFIED;
}

v1::ModelLimits Limits(const v1::LimitsConfig& limits, const Capabilities& capabilities) {
  const int multiple = capabilities.size_multiple;
  v1::ModelLimits result;
  result.set_size_multiple(multiple);
  result.set_min_size(multiple);
  result.set_max_size(std::max(multiple, limits.max_size() / multiple * multiple));
  result.set_max_steps(std::min(limits.max_steps(), capabilities.max_steps));
  result.set_max_prior_steps(std::min(limits.max_prior_steps(), capabilities.max_prior_steps));
  result.set_max_images(limits.max_images());
  result.set_max_mix_parts(capabilities.max_mix_parts);
  result.set_max_megapixel_steps(limits.max_megapixel_steps());
  result.set_max_prompt_bytes(limits.max_prompt_bytes());
  result.set_max_image_bytes(limits.max_image_bytes());
  result.set_max_image_pixels(limits.max_image_pixels());
  result.set_max_request_bytes(limits.max_receive_message_bytes());
  result.set_max_unary_reply_bytes(limits.max_unary_reply_bytes());
  *result.mutable_default_deadline() = ToProto(absl::Seconds(limits.default_deadline_seconds()));
  *result.mutable_max_deadline() = ToProto(absl::Seconds(limits.max_deadline_seconds()));
  return result;
}

// As requests get them: within the limits.
v1::ModelDefaults Defaults(const v1::LimitsConfig& limits, const Capabilities& capabilities) {
  const GenerationRequest request = DefaultRequest(capabilities, ToRequestLimits(limits));
  v1::ModelDefaults result;
  result.set_width(request.width);
  result.set_height(request.height);
  result.set_steps(request.steps);
  result.set_guidance_scale(request.guidance_scale);
  result.set_prior_steps(request.prior_steps);
  result.set_prior_guidance_scale(request.prior_guidance_scale);
  return result;
}

void Describe(const Capabilities& capabilities, v1::Model& model) {
  model.set_name(capabilities.model_name);
  model.set_family(capabilities.family);
  model.mutable_networks()->Assign(capabilities.networks.begin(), capabilities.networks.end());
  for (const std::string& task : OfferedTasks(capabilities)) model.add_tasks(task);
  for (const SamplerKind sampler : capabilities.samplers) model.add_samplers(WireSampler(sampler));
  for (const TextWindow& window : capabilities.text_windows) {
    v1::TextWindow& added = *model.add_text_windows();
    added.set_network(window.network);
    added.set_tokens(window.tokens);
  }
  model.mutable_adapters()->Assign(capabilities.adapters.begin(), capabilities.adapters.end());
  model.set_embeds_images(capabilities.has_image_encoder);
  model.set_embedding_dim(capabilities.embedding_dim);
  model.set_latent_scale(capabilities.latent_scale);
  model.set_device(capabilities.device);
  model.set_dtype(capabilities.dtype);
  model.set_weight_bytes(capabilities.weight_bytes);
}

}  // namespace

v1::Model DescribeModel(const std::string& configured_name, const ModelStanding& standing,
                        const v1::LimitsConfig& limits, const Engine* engine) {
  v1::Model model;
  model.set_name(configured_name);
  model.set_state(standing.state);
  model.set_not_ready_reason(standing.not_ready_reason);
  if (engine == nullptr) return model;
  const Capabilities& capabilities = engine->model().capabilities();
  Describe(capabilities, model);
  *model.mutable_limits() = Limits(limits, capabilities);
  *model.mutable_defaults() = Defaults(limits, capabilities);
  const EngineSnapshot now = engine->snapshot();
  model.set_workers(now.workers);
  model.set_ready_workers(now.ready_workers);
  if (now.estimated_wait > absl::ZeroDuration()) {
    *model.mutable_estimated_wait() = ToProto(now.estimated_wait);
  }
  return model;
}

}  // namespace kandinsky::server
