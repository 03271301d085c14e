#include <algorithm>
#include <cmath>
#include <set>
#include <string>

#include "absl/strings/ascii.h"
#include "absl/strings/str_cat.h"
#include "base/status_macros.h"
#include "config/config_fields.h"
#include "server/config.h"
#include "server/listening_sockets.h"

namespace kandinsky::server {
namespace {

constexpr int kMaxDevices = 64;
constexpr size_t kMaxDeviceNameBytes = 64;
constexpr int kMaxAdapters = 64;
constexpr int kMaxNetworkPaths = 2;  // three networks are known, and the first has a path of its own
constexpr double kMaxLoraScale = 4;

// Of the numeric fields; rules between fields are in ValidateConfig.
constexpr FieldRange kRanges[] = {
    {"limits.max_receive_message_bytes", 4096, 201326592},
    {"limits.max_text_message_bytes", 4096, 67108864},
    {"limits.max_image_bytes", 1024, 67108864},
    {"limits.max_image_pixels", 4096, 268435456},
    {"limits.max_metadata_bytes", 1024, 65536},
    {"limits.max_prompt_bytes", 1, 1048576},
    {"limits.max_images", 1, 64},
    {"limits.max_size", 64, 8192},
    {"limits.max_steps", 1, 1000},
    {"limits.max_prior_steps", 2, 1000},
    {"limits.max_megapixel_steps", 1e-6, 1e12},
    {"limits.max_unary_reply_bytes", 1024, 1073741824},
    {"limits.image_chunk_bytes", 1024, 2097152},
    {"limits.default_deadline_seconds", 0.001, 86400},
    {"limits.max_deadline_seconds", 0.001, 86400},
    {"limits.keepalive_min_interval_seconds", 1, 3600},
    {"limits.max_connection_age_seconds", 1, 86400},
    {"limits.max_connection_age_grace_seconds", 0.001, 1e6},
    {"limits.max_concurrent_streams", 1, 100000},
    {"results.keep_seconds", 0, 86400},
    {"results.max_bytes", 0, 1099511627776},
    {"model.threads", 0, 1024},
    {"model.lora_scale", -kMaxLoraScale, kMaxLoraScale},
    {"model.simulated.encode_ms", 0, 60000},
    {"model.simulated.encode_row_ms", 0, 60000},
    {"model.simulated.prior_ms", 0, 60000},
    {"model.simulated.prior_row_ms", 0, 60000},
    {"model.simulated.denoise_ms", 0, 60000},
    {"model.simulated.denoise_row_ms", 0, 60000},
    {"model.simulated.decode_ms", 0, 60000},
    {"model.simulated.decode_row_ms", 0, 60000},
    {"model.simulated.out_of_memory_above_latent_pixels", 0, 1073741824},
    {"model.simulated.fail_every_steps", 0, 1000000000},
    {"model.simulated.lose_every_steps", 0, 1000000000},
    {"engine.max_queued_requests", 1, 100000},
    {"engine.max_batch_rows", 1, 256},
    {"engine.max_batch_latent_pixels", 1, 1073741824},
    {"engine.max_active_generations", 1, 1024},
    {"engine.max_queued_seconds", 0.001, 86400},
    {"engine.priority_ageing_seconds", 0.001, 86400},
    {"engine.batch_delay_seconds", 0, 60},
    {"engine.preferred_batch_rows", 1, 256},
    {"engine.max_times_passed_over", 1, 1000},
    {"engine.max_batch_memory_bytes", 0, 1099511627776},
    {"engine.max_inflight_bytes", 1048576, 1099511627776},
    {"workers", 1, 64},
    {"codec_threads", 1, 64},
    {"drain.lame_duck_seconds", 0, 3600},
    {"drain.finish_seconds", 0, 86400},
};

absl::Status CheckMessageSizes(const v1::LimitsConfig& limits) {
  if (limits.max_text_message_bytes() < MostTextBytes(limits)) {
    return absl::InvalidArgumentError(
        absl::StrCat("limits.max_text_message_bytes is ", limits.max_text_message_bytes(),
                     ", must be at least 19 x limits.max_prompt_bytes + 4096, ", MostTextBytes(limits)));
  }
  if (limits.max_receive_message_bytes() < MostMessageBytes(limits)) {
    return absl::InvalidArgumentError(
        absl::StrCat("limits.max_receive_message_bytes is ", limits.max_receive_message_bytes(),
                     ", must be at least 2 x limits.max_image_bytes + limits.max_text_message_bytes, ",
                     MostMessageBytes(limits)));
  }
  return absl::OkStatus();
}

absl::Status CheckDeadlines(const v1::LimitsConfig& limits) {
  if (limits.default_deadline_seconds() > limits.max_deadline_seconds()) {
    return absl::InvalidArgumentError(
        absl::StrCat("limits.default_deadline_seconds is ", limits.default_deadline_seconds(),
                     ", must be at most limits.max_deadline_seconds, ", limits.max_deadline_seconds()));
  }
  if (limits.max_connection_age_grace_seconds() < limits.max_deadline_seconds()) {
    return absl::InvalidArgumentError(
        absl::StrCat("limits.max_connection_age_grace_seconds is ", limits.max_connection_age_grace_seconds(),
                     ", must be at least limits.max_deadline_seconds, ", limits.max_deadline_seconds()));
  }
  return absl::OkStatus();
}

bool IsDeviceName(const std::string& name) {
  return !name.empty() && name.size() <= kMaxDeviceNameBytes &&
         std::all_of(name.begin(), name.end(), [](unsigned char c) {
           return absl::ascii_isalnum(c) || c == '.' || c == '_' || c == '-' || c == ':';
         });
}

absl::Status CheckDevices(const v1::ModelConfig& model) {
  if (model.devices_size() < 1 || model.devices_size() > kMaxDevices) {
    return absl::InvalidArgumentError(
        absl::StrCat("model.devices has ", model.devices_size(), " entries, must have 1 to ", kMaxDevices));
  }
  std::set<std::string> names;
  for (const std::string& device : model.devices()) {
    const auto wrong = [&](absl::string_view rule) {
      return absl::InvalidArgumentError(absl::StrCat("model.devices has \"", device, "\", ", rule));
    };
    if (!IsDeviceName(device)) return wrong("a device has 1 to 64 characters of A-Z a-z 0-9 . _ - :");
    if (!names.insert(device).second) return wrong("twice");
    if (model.kind() == v1::MODEL_KIND_KANDINSKY && device != "cpu") {
      return wrong("this build computes on \"cpu\" only");
    }
  }
  return absl::OkStatus();
}

absl::Status CheckAdapters(const v1::ModelConfig& model) {
  if (model.adapters_size() > kMaxAdapters) {
    return absl::InvalidArgumentError(absl::StrCat("model.adapters has ", model.adapters_size(),
                                                   " entries, must have at most ", kMaxAdapters));
  }
  std::set<std::string> names;
  for (int i = 0; i < model.adapters_size(); ++i) {
    const v1::AdapterConfig& adapter = model.adapters(i);
    const auto wrong = [i](absl::string_view rule) {
      return absl::InvalidArgumentError(absl::StrCat("model.adapters[", i, "]", rule));
    };
    if (!IsValidName(adapter.name()))
      return wrong(".name must have 1 to 128 characters of A-Z a-z 0-9 . _ -");
    if (!names.insert(adapter.name()).second) return wrong(".name is the name of an earlier one");
    if (!(std::abs(adapter.scale()) <= kMaxLoraScale)) {  // a NaN is refused too
      return wrong(absl::StrCat(".scale must be ", -kMaxLoraScale, " to ", kMaxLoraScale));
    }
    const bool empty = adapter.unet_lora_path().empty() && adapter.prior_lora_path().empty();
    if (empty && model.kind() == v1::MODEL_KIND_KANDINSKY) {
      return wrong(" has neither unet_lora_path nor prior_lora_path");
    }
  }
  return absl::OkStatus();
}

absl::Status CheckNetworkPaths(const v1::ModelConfig& model) {
  if (model.network_paths_size() > kMaxNetworkPaths) {
    return absl::InvalidArgumentError(absl::StrCat("model.network_paths has ", model.network_paths_size(),
                                                   " entries, must have at most ", kMaxNetworkPaths));
  }
  for (const std::string& path : model.network_paths()) {
    if (path.empty()) return absl::InvalidArgumentError("model.network_paths has an empty entry");
  }
  return absl::OkStatus();
}

absl::Status CheckModel(const v1::ModelConfig& model) {
  if (!IsValidName(model.name())) {
    return absl::InvalidArgumentError("model.name must have 1 to 128 characters of A-Z a-z 0-9 . _ -");
  }
  if (model.kind() == v1::MODEL_KIND_KANDINSKY && model.path().empty()) {
    return absl::InvalidArgumentError("model.path is not set; model.kind MODEL_KIND_KANDINSKY needs it");
  }
  RETURN_IF_ERROR(CheckDevices(model));
  RETURN_IF_ERROR(CheckNetworkPaths(model));
  return CheckAdapters(model);
}

absl::Status CheckAddress(const char* field, const std::string& address) {
  const absl::Status status = ParseHostPort(address).status();
  if (status.ok()) return absl::OkStatus();
  return absl::InvalidArgumentError(absl::StrCat(field, " is \"", address, "\": ", status.message()));
}

}  // namespace

absl::Status ValidateConfig(const v1::ServerConfig& config) {
  RETURN_IF_ERROR(CheckAddress("listen_address", config.listen_address()));
  if (!config.metrics_address().empty()) {
    RETURN_IF_ERROR(CheckAddress("metrics_address", config.metrics_address()));
  }
  if (!config.operator_client_id().empty() && !IsValidName(config.operator_client_id())) {
    return absl::InvalidArgumentError(
        "operator_client_id must be empty or have 1 to 128 characters of A-Z a-z 0-9 . _ -");
  }
  RETURN_IF_ERROR(CheckEnums(config));
  RETURN_IF_ERROR(CheckRanges(kRanges, config));
  RETURN_IF_ERROR(CheckMessageSizes(config.limits()));
  RETURN_IF_ERROR(CheckDeadlines(config.limits()));
  return CheckModel(config.model());
}

}  // namespace kandinsky::server
