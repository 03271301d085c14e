#include "pipeline/weights/lora_metadata.h"

#include <algorithm>
#include <cmath>
#include <nlohmann/json.hpp>
#include <utility>

#include "absl/strings/ascii.h"
#include "absl/strings/escaping.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/strip.h"
#include "base/json_file.h"
#include "base/status_macros.h"

namespace kandinsky {
namespace {

using nlohmann::json;
using Pattern = std::vector<std::pair<std::string, double>>;

constexpr char kKey[] = "lora_adapter_metadata";

// What changes the meaning of the factors, or the network beside them.
constexpr const char* kUnsupported[] = {
    "use_dora",         "use_qalora",  "use_bdlora",        "lora_bias",       "alora_invocation_tokens",
    "arrow_config",     "kasa_config", "layer_replication", "modules_to_save", "monteclora_config",
    "target_parameters"};

bool IsSet(const json& value) {
  if (value.is_null() || value == json(false)) return false;
  return !(value.is_object() || value.is_array()) || !value.empty();
}

// Keys of one object, under the prefix of a network where there are such.
class MetadataReader {
 public:
  MetadataReader(std::string place, json object, absl::string_view prefix)
      : place_(std::move(place)), object_(std::move(object)) {
    for (const auto& [key, value] : object_.items()) {
      if (!prefix.empty() && absl::StartsWith(key, prefix)) prefix_ = std::string(prefix);
    }
  }

  // Null when there is none.
  json Get(const char* key) const { return object_.value(prefix_ + key, json()); }

  absl::Status Number(const char* key, double& field) const {
    const json value = Get(key);
    if (value.is_null()) return absl::OkStatus();
    if (!IsPositive(value)) return Refuse(key, value, "must be a number above 0");
    field = value.get<double>();
    return absl::OkStatus();
  }

  // peft takes the keys for regular expressions; those that are names are read.
  absl::Status Numbers(const char* key, Pattern& field) const {
    const json value = Get(key);
    if (!IsSet(value)) return absl::OkStatus();
    if (!value.is_object()) return Refuse(key, value, "must be an object of numbers by layer");
    for (const auto& [pattern, number] : value.items()) {
      const bool is_name = std::all_of(
          pattern.begin() + absl::StartsWith(pattern, "^"), pattern.end(),
          [](char c) { return absl::ascii_isalnum(static_cast<unsigned char>(c)) || c == '.' || c == '_'; });
      if (!is_name) return Refuse(key, pattern, "must be a layer's name, not another pattern");
      if (!IsPositive(number)) return Refuse(key, number, "must be a number above 0");
      field.emplace_back(pattern, number.get<double>());
    }
    return absl::OkStatus();
  }

  absl::Status CheckSupported() const {
    for (const char* key : kUnsupported) {
      if (const json value = Get(key); IsSet(value)) return Refuse(key, value, "is not supported");
    }
    const json type = Get("peft_type");
    if (!type.is_null() && type != "LORA") return Refuse("peft_type", type, "must be LORA");
    // The others move the network's own weights before the adapters are learned.
    const json start = Get("init_lora_weights");
    const bool plain = !start.is_string() || start == "gaussian" || start == "eva" || start == "orthogonal";
    return plain ? absl::OkStatus() : Refuse("init_lora_weights", start, "is not supported");
  }

  absl::Status Flag(const char* key, bool& field) const {
    const json value = Get(key);
    if (value.is_null()) return absl::OkStatus();
    if (!value.is_boolean()) return Refuse(key, value, "must be true or false");
    field = value.get<bool>();
    return absl::OkStatus();
  }

 private:
  static bool IsPositive(const json& value) {
    return value.is_number() && value.get<double>() > 0 && std::isfinite(value.get<double>());
  }

  absl::Status Refuse(const char* key, const json& value, absl::string_view rule) const {
    return absl::InvalidArgumentError(
        absl::StrCat(place_, ": ", prefix_, key, " ", value.dump(-1, ' ', true).substr(0, 100), " ", rule));
  }

  const std::string place_;
  const json object_;
  std::string prefix_;
};

// peft's get_pattern_key.
double ValueFor(absl::string_view layer, const Pattern& patterns, double otherwise) {
  for (const auto& [pattern, value] : patterns) {
    absl::string_view name = pattern;
    const bool whole = absl::ConsumePrefix(&name, "^");
    if (layer == name || (!whole && absl::EndsWith(layer, absl::StrCat(".", name)))) return value;
  }
  return otherwise;
}

}  // namespace

absl::StatusOr<std::optional<LoraMetadata>> LoraMetadata::Read(const Checkpoint& checkpoint,
                                                               absl::string_view prefix) {
  const auto found = checkpoint.metadata().find(kKey);
  if (found == checkpoint.metadata().end() || found->second.empty()) return std::nullopt;
  const std::string place = absl::StrCat(checkpoint.path(), ": ", kKey);
  ASSIGN_OR_RETURN(json object, ParseJson(found->second, place, {.allow_big_integers = true}));
  if (object.is_null()) return std::nullopt;
  if (!object.is_object()) return absl::InvalidArgumentError(absl::StrCat(place, ": not a JSON object"));
  const MetadataReader reader(place, std::move(object), prefix);
  LoraMetadata metadata;
  RETURN_IF_ERROR(reader.CheckSupported());
  RETURN_IF_ERROR(reader.Number("r", metadata.rank_));
  RETURN_IF_ERROR(reader.Number("lora_alpha", metadata.alpha_));
  RETURN_IF_ERROR(reader.Flag("use_rslora", metadata.rank_stabilized_));
  RETURN_IF_ERROR(reader.Numbers("rank_pattern", metadata.rank_pattern_));
  RETURN_IF_ERROR(reader.Numbers("alpha_pattern", metadata.alpha_pattern_));
  return metadata;
}

absl::StatusOr<double> LoraMetadata::Scaling(absl::string_view layer, int64_t rank) const {
  const double said = ValueFor(layer, rank_pattern_, rank_);
  if (said != static_cast<double>(rank)) {
    return absl::InvalidArgumentError(absl::StrCat("has rank ", rank, ", but ", kKey, " says ", said));
  }
  const double alpha = ValueFor(layer, alpha_pattern_, alpha_);
  return alpha / (rank_stabilized_ ? std::sqrt(said) : said);
}

std::map<std::string, std::string> PeftMetadata(int rank, const std::vector<std::string>& targets) {
  const json config = {{"lora_alpha", rank}, {"peft_type", "LORA"}, {"r", rank}, {"target_modules", targets}};
  return {{"format", "pt"}, {kKey, config.dump(2)}};
}

}  // namespace kandinsky
