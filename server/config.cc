#include "server/config.h"

#include <google/protobuf/text_format.h>

#include <algorithm>

#include "absl/strings/ascii.h"
#include "base/status_macros.h"
#include "config/config_text.h"

namespace kandinsky::server {
namespace {

constexpr char kDefaults[] = R"pb(
  listen_address: "0.0.0.0:50051"
  metrics_address: "127.0.0.1:0"
  log { level: LOG_LEVEL_INFO format: LOG_FORMAT_JSON }
  limits {
    max_image_bytes: 8388608
    max_image_pixels: 16000000
    max_metadata_bytes: 8192
    max_prompt_bytes: 4096
    max_images: 8
    max_size: 2048
    max_steps: 1000
    max_prior_steps: 1000
    max_megapixel_steps: 1000
    max_unary_reply_bytes: 3670016
    image_chunk_bytes: 1048576
    default_deadline_seconds: 120
    max_deadline_seconds: 300
    keepalive_min_interval_seconds: 10
    max_connection_age_seconds: 600
    max_concurrent_streams: 100
  }
  model {
    name: "kandinsky-2.2"
    path: ""
    prior_path: ""
    threads: 0
    image_encoder: true
    unet_lora_path: ""
    prior_lora_path: ""
    lora_scale: 1
    kind: MODEL_KIND_KANDINSKY
    simulated {
      encode_ms: 3
      encode_row_ms: 0.5
      prior_ms: 0.65
      prior_row_ms: 0.07
      denoise_ms: 2.5
      denoise_row_ms: 2.55
      decode_ms: 1
      decode_row_ms: 4.5
      out_of_memory_above_latent_pixels: 0
      fail_every_steps: 0
      lose_every_steps: 0
    }
  }
  engine {
    max_queued_requests: 64
    max_batch_rows: 8
    max_batch_latent_pixels: 131072
    max_active_generations: 32
    batch_mode: BATCH_MODE_SHAPE
    max_queued_seconds: 300
    priority_ageing_seconds: 30
    batch_delay_seconds: 0
    max_times_passed_over: 16
    max_batch_memory_bytes: 0
    max_inflight_bytes: 1073741824
  }
  results { keep_seconds: 300 max_bytes: 268435456 }
  workers: 1
  codec_threads: 2
  drain { lame_duck_seconds: 5 }
  reflection: true
  operator_client_id: ""
)pb";

// Sizes that do not fit are refused by ValidateConfig.
int Clamped(int64_t bytes) { return static_cast<int>(std::clamp<int64_t>(bytes, 0, INT32_MAX)); }

}  // namespace

absl::StatusOr<v1::ServerConfig> ReadConfigFile(const std::string& path) {
  v1::ServerConfig config;
  RETURN_IF_ERROR(ReadMessageFile(path, config));
  return config;
}

absl::Status ApplyOverride(const std::string& override_text, v1::ServerConfig& config) {
  return OverrideField(override_text, config);
}

v1::ServerConfig WithDefaults(const v1::ServerConfig& config) {
  v1::ServerConfig complete;
  google::protobuf::TextFormat::ParseFromString(kDefaults, &complete);
  complete.MergeFrom(config);
  v1::LimitsConfig& limits = *complete.mutable_limits();
  if (!limits.has_max_text_message_bytes()) limits.set_max_text_message_bytes(Clamped(MostTextBytes(limits)));
  if (!limits.has_max_receive_message_bytes()) {
    limits.set_max_receive_message_bytes(Clamped(MostMessageBytes(limits)));
  }
  if (!limits.has_max_connection_age_grace_seconds()) {
    limits.set_max_connection_age_grace_seconds(limits.max_deadline_seconds() + 30);
  }
  if (!complete.drain().has_finish_seconds()) {
    complete.mutable_drain()->set_finish_seconds(limits.max_deadline_seconds());
  }
  v1::EngineConfig& engine = *complete.mutable_engine();
  if (!engine.has_preferred_batch_rows()) engine.set_preferred_batch_rows(engine.max_batch_rows());
  if (complete.model().devices().empty()) complete.mutable_model()->add_devices("cpu");
  for (v1::AdapterConfig& adapter : *complete.mutable_model()->mutable_adapters()) {
    if (!adapter.has_unet_lora_path()) adapter.set_unet_lora_path("");
    if (!adapter.has_prior_lora_path()) adapter.set_prior_lora_path("");
    if (!adapter.has_scale()) adapter.set_scale(1);
  }
  return complete;
}

std::string PrintConfig(const v1::ServerConfig& config) { return PrintMessage(config); }

int64_t MostTextBytes(const v1::LimitsConfig& limits) {
  constexpr int kMostPrompts = 16 + 3;  // the parts of a mixture, and prompt and negative prompts
  constexpr int kOtherFields = 4096;
  return int64_t{kMostPrompts} * limits.max_prompt_bytes() + kOtherFields;
}

int64_t MostMessageBytes(const v1::LimitsConfig& limits) {
  return int64_t{2} * limits.max_image_bytes() + limits.max_text_message_bytes();
}

bool IsValidName(const std::string& name) {
  return !name.empty() && name.size() <= 128 && std::all_of(name.begin(), name.end(), [](unsigned char c) {
    return absl::ascii_isalnum(c) || c == '.' || c == '_' || c == '-';
  });
}

}  // namespace kandinsky::server
