#include "server/config.h"

#include <google/protobuf/descriptor.h>
#include <google/protobuf/io/tokenizer.h>
#include <google/protobuf/message.h>
#include <google/protobuf/text_format.h>
#include <google/protobuf/util/json_util.h>

#include <algorithm>
#include <cmath>
#include <vector>

#include "absl/strings/ascii.h"
#include "absl/strings/match.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "base/mapped_file.h"
#include "base/status_macros.h"

namespace kandinsky {
namespace {

using google::protobuf::FieldDescriptor;
using google::protobuf::Message;

constexpr size_t kMaxConfigBytes = 1 << 20;

constexpr char kDefaults[] = R"pb(
  listen_address: "0.0.0.0:50051"
  metrics_address: "0.0.0.0:9090"
  log { level: LOG_LEVEL_INFO format: LOG_FORMAT_JSON }
  limits {
    max_receive_message_bytes: 65536
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
    max_concurrent_streams: 1000
  }
  model { name: "kandinsky-2.2" path: "" prior_path: "" threads: 0 }
  engine {
    max_queued_requests: 64
    max_batch_rows: 8
    max_batch_latent_pixels: 131072
    max_active_generations: 16
  }
  workers: 1
  codec_threads: 2
  drain { lame_duck_seconds: 5 }
  reflection: true
)pb";

// Closed intervals of the numeric fields; rules between fields are in ValidateConfig.
struct Range {
  const char* path;
  double min;
  double max;
};
constexpr Range kRanges[] = {
    {"limits.max_receive_message_bytes", 4096, 67108864},
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
    {"model.threads", 0, 1024},
    {"engine.max_queued_requests", 1, 100000},
    {"engine.max_batch_rows", 1, 256},
    {"engine.max_batch_latent_pixels", 1, 1073741824},
    {"engine.max_active_generations", 1, 1024},
    {"workers", 1, 64},
    {"codec_threads", 1, 64},
    {"drain.lame_duck_seconds", 0, 3600},
    {"drain.finish_seconds", 0, 86400},
};

class FirstError : public google::protobuf::io::ErrorCollector {
 public:
  void AddError(int line, google::protobuf::io::ColumnNumber column, const std::string& message) override {
    if (text_.empty()) text_ = absl::StrCat(line + 1, ":", column + 1, ": ", message);
  }
  const std::string& text() const { return text_; }

 private:
  std::string text_;
};

// A scalar field inside a (nested) message.
struct FieldPlace {
  Message* message = nullptr;
  const FieldDescriptor* field = nullptr;
};

absl::StatusOr<FieldPlace> FindField(const std::string& path, Message& root) {
  FieldPlace place{&root, nullptr};
  for (const absl::string_view name : absl::StrSplit(path, '.')) {
    if (place.field != nullptr) {
      if (place.field->cpp_type() != FieldDescriptor::CPPTYPE_MESSAGE) {
        return absl::InvalidArgumentError(absl::StrCat(place.field->name(), " has no fields"));
      }
      place.message = place.message->GetReflection()->MutableMessage(place.message, place.field);
    }
    place.field = place.message->GetDescriptor()->FindFieldByName(std::string(name));
    if (place.field == nullptr) {
      return absl::InvalidArgumentError(
          absl::StrCat("no field \"", name, "\" in ", place.message->GetDescriptor()->name()));
    }
  }
  if (place.field->cpp_type() == FieldDescriptor::CPPTYPE_MESSAGE) {
    return absl::InvalidArgumentError(
        absl::StrCat(place.field->name(), " is a group of fields, not a value"));
  }
  return place;
}

absl::Status SetScalar(const FieldPlace& place, const std::string& value) {
  const google::protobuf::Reflection& reflection = *place.message->GetReflection();
  switch (place.field->cpp_type()) {
    case FieldDescriptor::CPPTYPE_INT32: {
      int32_t number = 0;
      if (!absl::SimpleAtoi(value, &number)) return absl::InvalidArgumentError("not a 32-bit integer");
      reflection.SetInt32(place.message, place.field, number);
      return absl::OkStatus();
    }
    case FieldDescriptor::CPPTYPE_DOUBLE: {
      double number = 0;
      if (!absl::SimpleAtod(value, &number)) return absl::InvalidArgumentError("not a number");
      reflection.SetDouble(place.message, place.field, number);
      return absl::OkStatus();
    }
    case FieldDescriptor::CPPTYPE_BOOL:
      if (value != "true" && value != "false") return absl::InvalidArgumentError("not true or false");
      reflection.SetBool(place.message, place.field, value == "true");
      return absl::OkStatus();
    case FieldDescriptor::CPPTYPE_STRING:
      reflection.SetString(place.message, place.field, value);
      return absl::OkStatus();
    case FieldDescriptor::CPPTYPE_ENUM: {
      const auto* number = place.field->enum_type()->FindValueByName(value);
      if (number == nullptr) {
        return absl::InvalidArgumentError(absl::StrCat("not a value of ", place.field->enum_type()->name()));
      }
      reflection.SetEnum(place.message, place.field, number);
      return absl::OkStatus();
    }
    default:
      return absl::InvalidArgumentError("a field of this type cannot be set");
  }
}

double NumberAt(const FieldPlace& place) {
  const google::protobuf::Reflection& reflection = *place.message->GetReflection();
  return place.field->cpp_type() == FieldDescriptor::CPPTYPE_INT32
             ? reflection.GetInt32(*place.message, place.field)
             : reflection.GetDouble(*place.message, place.field);
}

// Whole numbers in full, others with six digits.
std::string Number(double value) {
  const bool whole = std::abs(value) < 1e15 && value == std::floor(value);
  return whole ? absl::StrCat(static_cast<int64_t>(value)) : absl::StrCat(value);
}

absl::Status CheckRanges(v1::ServerConfig config) {
  for (const Range& range : kRanges) {
    ASSIGN_OR_RETURN(const FieldPlace place, FindField(range.path, config));
    const double value = NumberAt(place);
    // Written so that a NaN is refused too.
    if (!(value >= range.min && value <= range.max)) {
      return absl::InvalidArgumentError(absl::StrCat(range.path, " is ", Number(value), ", must be ",
                                                     Number(range.min), " to ", Number(range.max)));
    }
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

absl::Status CheckModel(const v1::ModelConfig& model) {
  if (!IsValidName(model.name())) {
    return absl::InvalidArgumentError("model.name must have 1 to 128 characters of A-Z a-z 0-9 . _ -");
  }
  if (model.path().empty()) return absl::InvalidArgumentError("model.path is not set");
  return absl::OkStatus();
}

absl::Status CheckAddress(const char* field, const std::string& address) {
  const absl::Status status = ParseHostPort(address).status();
  if (status.ok()) return absl::OkStatus();
  return absl::InvalidArgumentError(absl::StrCat(field, " is \"", address, "\": ", status.message()));
}

}  // namespace

absl::StatusOr<v1::ServerConfig> ParseConfig(const std::string& text, ConfigFormat format) {
  v1::ServerConfig config;
  if (format == ConfigFormat::kJson) {
    google::protobuf::util::JsonParseOptions options;
    options.ignore_unknown_fields = false;
    const auto status = google::protobuf::util::JsonStringToMessage(text, &config, options);
    if (!status.ok()) return absl::InvalidArgumentError(status.message().as_string());
    return config;
  }
  FirstError error;
  google::protobuf::TextFormat::Parser parser;
  parser.RecordErrorsTo(&error);
  if (!parser.ParseFromString(text, &config)) return absl::InvalidArgumentError(error.text());
  return config;
}

absl::StatusOr<v1::ServerConfig> ReadConfigFile(const std::string& path) {
  ConfigFormat format = ConfigFormat::kTextProto;
  if (absl::EndsWith(path, ".json")) {
    format = ConfigFormat::kJson;
  } else if (!absl::EndsWith(path, ".textproto") && !absl::EndsWith(path, ".txtpb") &&
             !absl::EndsWith(path, ".pbtxt")) {
    return absl::InvalidArgumentError(
        absl::StrCat(path, ": a configuration file ends in .textproto, .txtpb, .pbtxt or .json"));
  }
  ASSIGN_OR_RETURN(const std::string text, ReadFile(path, kMaxConfigBytes));
  auto config = ParseConfig(text, format);
  if (!config.ok()) return absl::InvalidArgumentError(absl::StrCat(path, ":", config.status().message()));
  return config;
}

absl::Status ApplyOverride(const std::string& override_text, v1::ServerConfig& config) {
  const size_t equals = override_text.find('=');
  const auto explain = [&](absl::string_view what) {
    return absl::InvalidArgumentError(absl::StrCat("--set ", override_text, ": ", what));
  };
  if (equals == std::string::npos || equals == 0) return explain("must be path=value");
  v1::ServerConfig changed = config;
  const auto place = FindField(override_text.substr(0, equals), changed);
  if (!place.ok()) return explain(place.status().message());
  const absl::Status set = SetScalar(*place, override_text.substr(equals + 1));
  if (!set.ok()) return explain(set.message());
  config = std::move(changed);
  return absl::OkStatus();
}

v1::ServerConfig WithDefaults(const v1::ServerConfig& config) {
  v1::ServerConfig complete;
  google::protobuf::TextFormat::ParseFromString(kDefaults, &complete);
  complete.MergeFrom(config);
  v1::LimitsConfig& limits = *complete.mutable_limits();
  if (!limits.has_max_connection_age_grace_seconds()) {
    limits.set_max_connection_age_grace_seconds(limits.max_deadline_seconds() + 30);
  }
  if (!complete.drain().has_finish_seconds()) {
    complete.mutable_drain()->set_finish_seconds(limits.max_deadline_seconds());
  }
  return complete;
}

absl::Status ValidateConfig(const v1::ServerConfig& config) {
  RETURN_IF_ERROR(CheckAddress("listen_address", config.listen_address()));
  if (!config.metrics_address().empty()) {
    RETURN_IF_ERROR(CheckAddress("metrics_address", config.metrics_address()));
  }
  if (!v1::LogLevel_IsValid(config.log().level())) return absl::InvalidArgumentError("log.level is unknown");
  if (!v1::LogFormat_IsValid(config.log().format()))
    return absl::InvalidArgumentError("log.format is unknown");
  RETURN_IF_ERROR(CheckRanges(config));
  const int needed_bytes = 2 * config.limits().max_prompt_bytes() + 2048;
  if (config.limits().max_receive_message_bytes() < needed_bytes) {
    return absl::InvalidArgumentError(
        absl::StrCat("limits.max_receive_message_bytes is ", config.limits().max_receive_message_bytes(),
                     ", must be at least 2 x limits.max_prompt_bytes + 2048, ", needed_bytes));
  }
  RETURN_IF_ERROR(CheckDeadlines(config.limits()));
  return CheckModel(config.model());
}

std::string PrintConfig(const v1::ServerConfig& config) {
  std::string text;
  google::protobuf::TextFormat::PrintToString(config, &text);
  return text;
}

absl::StatusOr<HostPort> ParseHostPort(const std::string& address) {
  const size_t colon = address.rfind(':');
  HostPort parsed;
  if (colon == std::string::npos || !absl::SimpleAtoi(address.substr(colon + 1), &parsed.port) ||
      parsed.port < 0 || parsed.port > 65535) {
    return absl::InvalidArgumentError("must be host:port with a port of 0 to 65535");
  }
  parsed.host = address.substr(0, colon);
  const bool bracketed = absl::StartsWith(parsed.host, "[") && absl::EndsWith(parsed.host, "]");
  if (!bracketed && absl::StrContains(parsed.host, ':')) {
    return absl::InvalidArgumentError("an IPv6 address must stand in brackets, as in [::]:50051");
  }
  return parsed;
}

bool IsValidName(const std::string& name) {
  return !name.empty() && name.size() <= 128 && std::all_of(name.begin(), name.end(), [](unsigned char c) {
    return absl::ascii_isalnum(c) || c == '.' || c == '_' || c == '-';
  });
}

}  // namespace kandinsky
