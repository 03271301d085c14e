#pragma once

#include <nlohmann/json_fwd.hpp>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "pipeline/generation_request.h"
#include "pipeline/models/clip_text_model.h"
#include "pipeline/models/clip_vision_model.h"
#include "pipeline/models/prior_transformer.h"
#include "pipeline/models/unet_2d_condition_model.h"
#include "pipeline/models/vq_model.h"
#include "pipeline/samplers/noise_schedule.h"

namespace kandinsky {

// Published JSON (config.json, scheduler_config.json) to the structs of models and samplers. Missing and null
// keys keep their defaults, keys that no struct has are ignored (published files carry many that have no
// effect), a key of the wrong type is INVALID_ARGUMENT naming `file` and key, and so is what Validate()
// refuses.
absl::StatusOr<ClipTextConfig> ParseClipTextConfig(const std::string& file, const nlohmann::json& json);
absl::StatusOr<ClipVisionConfig> ParseClipVisionConfig(const std::string& file, const nlohmann::json& json);
absl::StatusOr<PriorTransformerConfig> ParsePriorConfig(const std::string& file, const nlohmann::json& json);
absl::StatusOr<UNet2DConditionConfig> ParseUNetConfig(const std::string& file, const nlohmann::json& json);
absl::StatusOr<VQModelConfig> ParseVQModelConfig(const std::string& file, const nlohmann::json& json);

// How images are prepared for CLIP's vision tower (preprocessor_config.json).
struct ClipProcessorConfig {
  int image_size = 224;   // pixels: the short edge is resized to it, the middle is cut out
  bool squeezes = false;  // instead of that, both edges are resized to it, whatever shape the image has
  std::vector<float> image_mean = {0.48145466f, 0.4578275f, 0.40821073f};
  std::vector<float> image_std = {0.26862954f, 0.26130258f, 0.27577711f};
};

// As above, with the meaning that transformers 5's CLIPImageProcessor gives to every form of its sizes: a
// `size` of shortest_edge is cropped, one of height and width squeezes. INVALID_ARGUMENT also for a
// preparation that the server does not do (other than bicubic resizing to a square, scaling by 1 / 255 and
// normalizing).
absl::StatusOr<ClipProcessorConfig> ParseClipProcessorConfig(const std::string& file,
                                                             const nlohmann::json& json);

// `config` brings the defaults of the scheduler class that reads the file.
absl::StatusOr<SamplerConfig> ParseSamplerConfig(const std::string& file, const nlohmann::json& json,
                                                 SamplerConfig config);

// The sampler that a decoder's scheduler file names in _class_name: the class of any SamplerKind; DDPM when
// there is no name, with the predicted variance where variance_type is learned_range. INVALID_ARGUMENT for
// any other class.
absl::StatusOr<SamplerKind> ParseSamplerKind(const std::string& file, const nlohmann::json& json);

// `status` with `file` before its message; OK stays OK.
absl::Status InFile(const std::string& file, const absl::Status& status);

// diffusers' defaults of the UnCLIPScheduler class.
SamplerConfig UnclipDefaults();

}  // namespace kandinsky
