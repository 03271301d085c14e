#include "training/config/training_config.h"

#include <google/protobuf/text_format.h>

#include "base/status_macros.h"

namespace kandinsky::training {
namespace {

constexpr char kDefaults[] = R"pb(
  target: TRAINING_TARGET_PRIOR
  decoder_path: ""
  prior_path: ""
  from_scratch: false
  output_folder: ""
  data {
    path: ""
    image_column: "image"
    caption_column: "text"
    hint_column: "hint"
    resolution: 512
    cache_folder: ""
    max_samples: 0
  }
  batch_size: 1
  accumulation_steps: 1
  max_steps: 0
  seed: 0
  threads: 0
  optimizer {
    kind: OPTIMIZER_KIND_ADAMW
    learning_rate: 1e-4
    beta1: 0.9
    beta2: 0.999
    epsilon: 1e-8
    weight_decay: 0
    max_gradient_norm: 1
  }
  schedule { kind: SCHEDULE_KIND_CONSTANT warmup_steps: 0 }
  caption_dropout: 0.1
  embedding_dropout: 0.1
  embedding_noise: 0
  embedding_exchange: 0
  precision: PRECISION_FLOAT32
  stored_type: STORED_TYPE_FLOAT32
  validation { every_steps: 500 steps: 25 prior_steps: 25 size: 512 guidance_scale: 4 }
  checkpoints { every_steps: 500 keep: 3 resume: "" }
  log_every_steps: 10
)pb";

constexpr int kDefaultLoraRank = 4;
constexpr double kDefaultEmaDecay = 0.9999;

DataOptions ToOptions(const v1::DataConfig& config) {
  return {.path = config.path(),
          .image_column = config.image_column(),
          .caption_column = config.caption_column(),
          .hint_column = config.hint_column(),
          .resolution = config.resolution(),
          .cache_folder = config.cache_folder(),
          .max_samples = config.max_samples()};
}

OptimizerOptions ToOptions(const v1::OptimizerConfig& config) {
  return {.kind = config.kind() == v1::OPTIMIZER_KIND_ADAFACTOR ? OptimizerKind::kAdafactor
                                                                : OptimizerKind::kAdamW,
          .learning_rate = config.learning_rate(),
          .beta1 = config.beta1(),
          .beta2 = config.beta2(),
          .epsilon = config.epsilon(),
          .weight_decay = config.weight_decay(),
          .max_gradient_norm = config.max_gradient_norm()};
}

ScheduleOptions ToOptions(const v1::ScheduleConfig& config) {
  ScheduleOptions options;
  if (config.kind() == v1::SCHEDULE_KIND_LINEAR) options.kind = ScheduleKind::kLinear;
  if (config.kind() == v1::SCHEDULE_KIND_COSINE) options.kind = ScheduleKind::kCosine;
  options.warmup_steps = config.warmup_steps();
  return options;
}

ValidationOptions ToOptions(const v1::ValidationConfig& config) {
  return {.prompts = {config.prompts().begin(), config.prompts().end()},
          .every_steps = config.every_steps(),
          .steps = config.steps(),
          .prior_steps = config.prior_steps(),
          .size = config.size(),
          .guidance_scale = config.guidance_scale()};
}

}  // namespace

v1::TrainingConfig WithDefaults(const v1::TrainingConfig& config) {
  v1::TrainingConfig complete;
  google::protobuf::TextFormat::ParseFromString(kDefaults, &complete);
  complete.MergeFrom(config);
  if (complete.has_ema() && !complete.ema().has_decay()) complete.mutable_ema()->set_decay(kDefaultEmaDecay);
  if (!complete.has_lora()) return complete;
  v1::LoraConfig& lora = *complete.mutable_lora();
  if (!lora.has_rank()) lora.set_rank(kDefaultLoraRank);
  if (!lora.has_form()) lora.set_form(v1::LORA_FORM_PEFT);
  if (lora.targets().empty()) {
    for (const char* name : {"to_q", "to_k", "to_v", "to_out.0"}) lora.add_targets(name);
    if (complete.target() == v1::TRAINING_TARGET_DECODER) {
      for (const char* name : {"add_k_proj", "add_v_proj"}) lora.add_targets(name);
    }
  }
  return complete;
}

absl::StatusOr<TrainingOptions> ToTrainingOptions(const v1::TrainingConfig& config) {
  const v1::TrainingConfig complete = WithDefaults(config);
  RETURN_IF_ERROR(ValidateConfig(complete));
  TrainingOptions options;
  options.target =
      complete.target() == v1::TRAINING_TARGET_DECODER ? TrainingTarget::kDecoder : TrainingTarget::kPrior;
  options.decoder_path = complete.decoder_path();
  options.prior_path = complete.prior_path();
  options.from_scratch = complete.from_scratch();
  options.output_folder = complete.output_folder();
  options.data = ToOptions(complete.data());
  options.batch_size = complete.batch_size();
  options.accumulation_steps = complete.accumulation_steps();
  options.max_steps = complete.max_steps();
  options.seed = complete.seed();
  options.threads = complete.threads();
  options.optimizer = ToOptions(complete.optimizer());
  options.schedule = ToOptions(complete.schedule());
  if (complete.has_snr_gamma()) options.snr_gamma = complete.snr_gamma();
  options.caption_dropout = complete.caption_dropout();
  options.embedding_dropout = complete.embedding_dropout();
  options.embedding_noise = complete.embedding_noise();
  options.embedding_exchange = complete.embedding_exchange();
  if (complete.precision() == v1::PRECISION_BFLOAT16) options.precision = Precision::kBFloat16;
  if (complete.stored_type() == v1::STORED_TYPE_FLOAT16) options.stored_type = StoredType::kFloat16;
  if (complete.stored_type() == v1::STORED_TYPE_BFLOAT16) options.stored_type = StoredType::kBFloat16;
  if (complete.has_lora()) {
    const v1::LoraConfig& lora = complete.lora();
    options.lora = LoraOptions{.rank = lora.rank(),
                               .targets = {lora.targets().begin(), lora.targets().end()},
                               .form = lora.form() == v1::LORA_FORM_ATTENTION_PROCESSORS
                                           ? AdapterForm::kAttentionProcessors
                                           : AdapterForm::kPeft};
  }
  if (complete.has_ema()) options.ema = EmaOptions{complete.ema().decay()};
  options.validation = ToOptions(complete.validation());
  options.checkpoints = {.every_steps = complete.checkpoints().every_steps(),
                         .keep = complete.checkpoints().keep(),
                         .resume = complete.checkpoints().resume()};
  options.log_every_steps = complete.log_every_steps();
  return options;
}

}  // namespace kandinsky::training
