#include "pipeline/components/model_configs.h"

#include <nlohmann/json.hpp>
#include <string>

#include "absl/status/status.h"
#include "absl/strings/str_cat.h"
#include "pipeline/components/config_reader.h"

namespace kandinsky {

using nlohmann::json;

absl::StatusOr<ClipTextConfig> ParseClipTextConfig(const std::string& file, const json& object) {
  ClipTextConfig config;
  ConfigReader reader(file, object);
  reader.Read("vocab_size", config.vocab_size)
      .Read("hidden_size", config.hidden_size)
      .Read("intermediate_size", config.intermediate_size)
      .Read("projection_dim", config.projection_dim)
      .Read("num_hidden_layers", config.num_hidden_layers)
      .Read("num_attention_heads", config.num_attention_heads)
      .Read("max_position_embeddings", config.max_position_embeddings)
      .Read("hidden_act", config.hidden_act)
      .Read("layer_norm_eps", config.layer_norm_eps)
      .Read("eos_token_id", config.eos_token_id);
  return reader.Validated(config);
}

absl::StatusOr<ClipVisionConfig> ParseClipVisionConfig(const std::string& file, const json& object) {
  ClipVisionConfig config;
  ConfigReader reader(file, object);
  reader.Read("hidden_size", config.hidden_size)
      .Read("intermediate_size", config.intermediate_size)
      .Read("projection_dim", config.projection_dim)
      .Read("num_hidden_layers", config.num_hidden_layers)
      .Read("num_attention_heads", config.num_attention_heads)
      .Read("num_channels", config.num_channels)
      .Read("image_size", config.image_size)
      .Read("patch_size", config.patch_size)
      .Read("hidden_act", config.hidden_act)
      .Read("layer_norm_eps", config.layer_norm_eps);
  return reader.Validated(config);
}

absl::StatusOr<PriorTransformerConfig> ParsePriorConfig(const std::string& file, const json& object) {
  PriorTransformerConfig config;
  ConfigReader reader(file, object);
  reader.Read("num_attention_heads", config.num_attention_heads)
      .Read("attention_head_dim", config.attention_head_dim)
      .Read("num_layers", config.num_layers)
      .Read("embedding_dim", config.embedding_dim)
      .Read("num_embeddings", config.num_embeddings)
      .Read("additional_embeddings", config.additional_embeddings)
      .Read("time_embed_act_fn", config.time_embed_act_fn)
      .Read("norm_in_type", config.norm_in_type)
      .Read("embedding_proj_norm_type", config.embedding_proj_norm_type)
      .Read("encoder_hid_proj_type", config.encoder_hid_proj_type)
      .Read("added_emb_type", config.added_emb_type);
  return reader.Validated(config);
}

absl::StatusOr<UNet2DConditionConfig> ParseUNetConfig(const std::string& file, const json& object) {
  UNet2DConditionConfig config;
  ConfigReader reader(file, object);
  reader.Read("act_fn", config.act_fn)
      .Read("addition_embed_type", config.addition_embed_type)
      .Read("attention_head_dim", config.attention_head_dim)
      .Read("block_out_channels", config.block_out_channels)
      .Read("center_input_sample", config.center_input_sample)
      .Read("conv_in_kernel", config.conv_in_kernel)
      .Read("conv_out_kernel", config.conv_out_kernel)
      .Read("cross_attention_dim", config.cross_attention_dim)
      .Read("down_block_types", config.down_block_types)
      .Read("dual_cross_attention", config.dual_cross_attention)
      .Read("encoder_hid_dim", config.encoder_hid_dim)
      .Read("encoder_hid_dim_type", config.encoder_hid_dim_type)
      .Read("flip_sin_to_cos", config.flip_sin_to_cos)
      .Read("freq_shift", config.freq_shift)
      .Read("in_channels", config.in_channels)
      .Read("layers_per_block", config.layers_per_block)
      .Read("mid_block_scale_factor", config.mid_block_scale_factor)
      .Read("mid_block_type", config.mid_block_type)
      .Read("norm_eps", config.norm_eps)
      .Read("norm_num_groups", config.norm_num_groups)
      .Read("only_cross_attention", config.only_cross_attention)
      .Read("out_channels", config.out_channels)
      .Read("resnet_time_scale_shift", config.resnet_time_scale_shift)
      .Read("sample_size", config.sample_size)
      .Read("up_block_types", config.up_block_types)
      .Read("upcast_attention", config.upcast_attention)
      .Read("use_linear_projection", config.use_linear_projection);
  return reader.Validated(config);
}

absl::StatusOr<VQModelConfig> ParseVQModelConfig(const std::string& file, const json& object) {
  VQModelConfig config;
  ConfigReader reader(file, object);
  reader.Read("act_fn", config.act_fn)
      .Read("block_out_channels", config.block_out_channels)
      .Read("down_block_types", config.down_block_types)
      .Read("up_block_types", config.up_block_types)
      .Read("in_channels", config.in_channels)
      .Read("out_channels", config.out_channels)
      .Read("latent_channels", config.latent_channels)
      .Read("layers_per_block", config.layers_per_block)
      .Read("lookup_from_codebook", config.lookup_from_codebook)
      .Read("mid_block_add_attention", config.mid_block_add_attention)
      .Read("norm_num_groups", config.norm_num_groups)
      .Read("norm_type", config.norm_type)
      .Read("num_vq_embeddings", config.num_vq_embeddings)
      .Read("vq_embed_dim", config.vq_embed_dim);
  return reader.Validated(config);
}

absl::StatusOr<SamplerConfig> ParseSamplerConfig(const std::string& file, const json& object,
                                                 SamplerConfig config) {
  ConfigReader reader(file, object);
  reader.Read("num_train_timesteps", config.num_train_timesteps)
      .Read("beta_start", config.beta_start)
      .Read("beta_end", config.beta_end)
      .Read("beta_schedule", config.beta_schedule)
      .Read("prediction_type", config.prediction_type)
      .Read("variance_type", config.variance_type)
      .Read("timestep_spacing", config.timestep_spacing)
      .Read("steps_offset", config.steps_offset)
      .Read("clip_sample", config.clip_sample)
      .Read("clip_sample_range", config.clip_sample_range)
      .Read("set_alpha_to_one", config.set_alpha_to_one)
      .Read("thresholding", config.thresholding)
      .Read("final_sigmas_type", config.final_sigmas_type)
      .Read("interpolation_type", config.interpolation_type)
      .Read("use_karras_sigmas", config.use_karras_sigmas)
      .Read("use_exponential_sigmas", config.use_exponential_sigmas)
      .Read("use_beta_sigmas", config.use_beta_sigmas)
      .Read("use_lu_lambdas", config.use_lu_lambdas)
      .Read("use_flow_sigmas", config.use_flow_sigmas)
      .Read("algorithm_type", config.algorithm_type)
      .Read("solver_type", config.solver_type)
      .Read("solver_order", config.solver_order)
      .Read("lambda_min_clipped", config.lambda_min_clipped);
  if (!reader.status().ok()) return reader.status();
  for (const char* key : {"trained_betas", "rescale_betas_zero_snr"}) {
    const auto found = object.find(key);
    if (found != object.end() && !found->is_null() && *found != json(false)) {
      return absl::InvalidArgumentError(
          absl::StrCat(file, ": ", key, " ", TextOf(*found), " is not supported; leave it out"));
    }
  }
  return config;
}

absl::StatusOr<SamplerKind> ParseSamplerKind(const std::string& file, const json& object) {
  std::string name = "DDPMScheduler";
  std::string variance_type;
  ConfigReader reader(file, object);
  reader.Read("_class_name", name).Read("variance_type", variance_type);
  if (!reader.status().ok()) return reader.status();
  if (name == "DDPMScheduler") {
    return variance_type == "learned_range" ? SamplerKind::kDdpmLearnedRange : SamplerKind::kDdpm;
  }
  if (name == "DDIMScheduler") return SamplerKind::kDdim;
  if (name == "EulerDiscreteScheduler") return SamplerKind::kEuler;
  if (name == "EulerAncestralDiscreteScheduler") return SamplerKind::kEulerAncestral;
  if (name == "DPMSolverMultistepScheduler") return SamplerKind::kDpmSolverMultistep;
  return absl::InvalidArgumentError(
      absl::StrCat(file, ": _class_name \"", name,
                   "\" is not DDPMScheduler, DDIMScheduler, EulerDiscreteScheduler, "
                   "EulerAncestralDiscreteScheduler or DPMSolverMultistepScheduler"));
}

absl::Status InFile(const std::string& file, const absl::Status& status) {
  if (status.ok()) return status;
  return absl::Status(status.code(), absl::StrCat(file, ": ", status.message()));
}

SamplerConfig UnclipDefaults() {
  SamplerConfig config;
  config.beta_schedule = "squaredcos_cap_v2";
  config.variance_type = "fixed_small_log";
  config.prediction_type = "epsilon";
  return config;
}

}  // namespace kandinsky
