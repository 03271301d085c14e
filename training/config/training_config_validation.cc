#include <algorithm>
#include <iterator>
#include <set>
#include <string>

#include "absl/strings/ascii.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "base/status_macros.h"
#include "config/config_fields.h"
#include "training/config/training_config.h"

namespace kandinsky::training {
namespace {

constexpr int kSizeMultiple = 32;  // the autoencoder's 8 times the halvings of the U-Net that it sees
constexpr int kMaxTargets = 64;
constexpr size_t kMaxTargetBytes = 128;
constexpr int kMaxPrompts = 64;
constexpr size_t kMaxPromptBytes = 4096;

// Of the numeric fields; rules between fields are in ValidateConfig. max_steps comes first: it is the one
// that everybody has to set.
constexpr FieldRange kRanges[] = {
    {"max_steps", 1, 1e9},
    {"data.resolution", 32, 2048},
    {"data.max_samples", 0, 1e9},
    {"batch_size", 1, 4096},
    {"accumulation_steps", 1, 4096},
    {"threads", 0, 1024},
    {"optimizer.learning_rate", 1e-12, 10},
    {"optimizer.beta1", 0, 0.999999},
    {"optimizer.beta2", 0, 0.999999},
    {"optimizer.epsilon", 1e-20, 1},
    {"optimizer.weight_decay", 0, 10},
    {"optimizer.max_gradient_norm", 0, 1e9},
    {"schedule.warmup_steps", 0, 1e9},
    {"snr_gamma", 1e-6, 1e6},
    {"caption_dropout", 0, 1},
    {"embedding_dropout", 0, 1},
    {"embedding_noise", 0, 10},
    {"embedding_exchange", 0, 1},
    {"lora.rank", 1, 1024},
    {"ema.decay", 0, 1},
    {"validation.every_steps", 1, 1e9},
    {"validation.steps", 1, 1000},
    {"validation.prior_steps", 2, 1000},
    {"validation.size", 32, 2048},
    {"validation.guidance_scale", 0, 100},
    {"checkpoints.every_steps", 1, 1e9},
    {"checkpoints.keep", 0, 1e6},
    {"log_every_steps", 1, 1e9},
};

template <typename... Parts>
absl::Status Wrong(const Parts&... parts) {
  return absl::InvalidArgumentError(absl::StrCat(parts...));
}

absl::Status CheckRequired(const v1::TrainingConfig& config) {
  if (config.decoder_path().empty()) return Wrong("decoder_path is not set");
  if (config.data().path().empty()) return Wrong("data.path is not set");
  if (config.output_folder().empty()) return Wrong("output_folder is not set");
  if (config.data().image_column().empty()) return Wrong("data.image_column is \"\", must not be empty");
  if (config.data().caption_column().empty()) return Wrong("data.caption_column is \"\", must not be empty");
  if (config.data().hint_column().empty()) return Wrong("data.hint_column is \"\", must not be empty");
  return absl::OkStatus();
}

absl::Status CheckSize(const char* field, int size) {
  if (size % kSizeMultiple == 0) return absl::OkStatus();
  return Wrong(field, " is ", size, ", must be a multiple of ", kSizeMultiple);
}

bool IsLayerName(const std::string& name) {
  return !name.empty() && name.size() <= kMaxTargetBytes &&
         std::all_of(name.begin(), name.end(),
                     [](unsigned char c) { return absl::ascii_isalnum(c) || c == '.' || c == '_'; });
}

// The layers of attentions, which the older form of adapters has names for.
constexpr absl::string_view kAttentionLayers[] = {"to_q",     "to_k",       "to_v",
                                                  "to_out.0", "add_k_proj", "add_v_proj"};

bool IsAttentionLayer(absl::string_view target) {
  return std::any_of(std::begin(kAttentionLayers), std::end(kAttentionLayers), [&](absl::string_view layer) {
    return target == layer || absl::EndsWith(target, absl::StrCat(".", layer));
  });
}

absl::Status CheckLora(const v1::TrainingConfig& config) {
  if (!config.has_lora()) return absl::OkStatus();
  if (config.from_scratch()) {
    return Wrong("from_scratch is true, must be false with lora: adapters need trained weights beside them");
  }
  const v1::LoraConfig& lora = config.lora();
  if (lora.targets_size() > kMaxTargets) {
    return Wrong("lora.targets has ", lora.targets_size(), " entries, must have 1 to ", kMaxTargets);
  }
  std::set<std::string> names;
  for (const std::string& name : lora.targets()) {
    if (!IsLayerName(name)) {
      return Wrong("lora.targets has \"", name, "\", a name has 1 to ", kMaxTargetBytes,
                   " characters of A-Z a-z 0-9 . _");
    }
    if (!names.insert(name).second) return Wrong("lora.targets has \"", name, "\", twice");
    if (lora.form() == v1::LORA_FORM_ATTENTION_PROCESSORS && !IsAttentionLayer(name)) {
      return Wrong("lora.targets has \"", name,
                   "\", with lora.form LORA_FORM_ATTENTION_PROCESSORS a target is or ends in one of ",
                   absl::StrJoin(kAttentionLayers, ", "));
    }
  }
  return absl::OkStatus();
}

absl::Status CheckValidation(const v1::ValidationConfig& validation) {
  if (validation.prompts_size() > kMaxPrompts) {
    return Wrong("validation.prompts has ", validation.prompts_size(), " entries, must have at most ",
                 kMaxPrompts);
  }
  for (const std::string& prompt : validation.prompts()) {
    if (prompt.empty() || prompt.size() > kMaxPromptBytes) {
      return Wrong("validation.prompts has one of ", prompt.size(), " bytes, must have 1 to ",
                   kMaxPromptBytes);
    }
  }
  return CheckSize("validation.size", validation.size());
}

}  // namespace

absl::Status ValidateConfig(const v1::TrainingConfig& config) {
  RETURN_IF_ERROR(CheckEnums(config));
  RETURN_IF_ERROR(CheckRequired(config));
  RETURN_IF_ERROR(CheckRanges(kRanges, config));
  RETURN_IF_ERROR(CheckSize("data.resolution", config.data().resolution()));
  if (config.schedule().warmup_steps() > config.max_steps()) {
    return Wrong("schedule.warmup_steps is ", config.schedule().warmup_steps(),
                 ", must be at most max_steps, ", config.max_steps());
  }
  RETURN_IF_ERROR(CheckLora(config));
  return CheckValidation(config.validation());
}

}  // namespace kandinsky::training
