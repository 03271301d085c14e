#include "pipeline/kandinsky22/generation_defaults.h"

#include <algorithm>
#include <filesystem>
#include <nlohmann/json.hpp>
#include <set>
#include <system_error>

#include "absl/status/status.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "base/json_file.h"
#include "base/mapped_file.h"
#include "base/status_macros.h"
#include "pipeline/request_rules.h"

namespace kandinsky {
namespace {

constexpr int kLargestSize = 8192;  // pixels; no server's limit is above it

int RoundDown(int64_t size, int multiple) {
  const int64_t rounded = std::min<int64_t>(size, kLargestSize) / multiple * multiple;
  return static_cast<int>(std::max<int64_t>(rounded, multiple));
}

// Takes known keys out of an object and notes everything that is wrong with it.
class DefaultsReader {
 public:
  DefaultsReader(const std::string& path, const nlohmann::json& object) : path_(path), object_(object) {}

  void Size(const char* key, int multiple, int& field) {
    const nlohmann::json* const value = Find(key);
    if (value == nullptr) return;
    const int max = RoundDown(kLargestSize, multiple);
    if (value->is_number_integer() && InRange(*value, multiple, max) && value->get<int>() % multiple == 0) {
      field = value->get<int>();
    } else {
      Violate(key, *value, absl::StrCat("a multiple of ", multiple, " from ", multiple, " to ", max));
    }
  }

  void Steps(const char* key, int min, int max, int& field) {
    const nlohmann::json* const value = Find(key);
    if (value == nullptr) return;
    if (value->is_number_integer() && InRange(*value, min, max)) {
      field = value->get<int>();
    } else {
      Violate(key, *value, absl::StrCat("an integer from ", min, " to ", max));
    }
  }

  void Guidance(const char* key, float& field) {
    const nlohmann::json* const value = Find(key);
    if (value == nullptr) return;
    if (value->is_number() && InRange(*value, 0, kMaxGuidance)) {
      field = value->get<float>();
    } else {
      Violate(key, *value, absl::StrCat("a number from 0 to ", kMaxGuidance));
    }
  }

  // To be called last.
  absl::Status Finish() {
    for (const auto& entry : object_.items()) {
      if (known_.count(entry.key()) > 0) continue;
      violations_.push_back(absl::StrCat(path_, ": unknown key ", TextOf(entry.key()), "; the keys are ",
                                         absl::StrJoin(known_, ", ")));
    }
    if (violations_.empty()) return absl::OkStatus();
    return absl::InvalidArgumentError(absl::StrJoin(violations_, "\n"));
  }

 private:
  const nlohmann::json* Find(const char* key) {
    known_.insert(key);
    const auto found = object_.find(key);
    return found == object_.end() ? nullptr : &*found;
  }

  // As floating point, which holds every number that JSON has, if not exactly.
  static bool InRange(const nlohmann::json& value, double min, double max) {
    const double number = value.get<double>();
    return number >= min && number <= max;
  }

  static std::string TextOf(const nlohmann::json& value) {
    return value.dump(-1, ' ', /*ensure_ascii=*/true, nlohmann::json::error_handler_t::replace)
        .substr(0, 100);
  }

  void Violate(const char* key, const nlohmann::json& value, const std::string& rule) {
    violations_.push_back(absl::StrCat(path_, ": ", key, " is ", TextOf(value), ", must be ", rule));
  }

  const std::string& path_;
  const nlohmann::json& object_;
  std::set<std::string> known_;
  std::vector<std::string> violations_;
};

}  // namespace

RequestDefaults TrainedDefaults(const Capabilities& capabilities, int64_t sample_size) {
  RequestDefaults defaults;
  defaults.width = RoundDown(sample_size * capabilities.latent_scale, capabilities.size_multiple);
  defaults.height = defaults.width;
  defaults.steps = std::min(defaults.steps, capabilities.max_steps);
  defaults.prior_steps = std::min(defaults.prior_steps, capabilities.max_prior_steps);
  return defaults;
}

absl::StatusOr<RequestDefaults> ParseGenerationDefaults(absl::string_view text, const std::string& path,
                                                        const Capabilities& capabilities) {
  ASSIGN_OR_RETURN(const nlohmann::json object, ParseJson(text, path));
  if (!object.is_object()) return absl::InvalidArgumentError(absl::StrCat(path, ": not a JSON object"));
  RequestDefaults defaults = capabilities.defaults;
  DefaultsReader reader(path, object);
  reader.Size("width", capabilities.size_multiple, defaults.width);
  reader.Size("height", capabilities.size_multiple, defaults.height);
  reader.Steps("steps", 1, capabilities.max_steps, defaults.steps);
  reader.Guidance("guidance_scale", defaults.guidance_scale);
  reader.Steps("prior_steps", kMinPriorSteps, capabilities.max_prior_steps, defaults.prior_steps);
  reader.Guidance("prior_guidance_scale", defaults.prior_guidance_scale);
  RETURN_IF_ERROR(reader.Finish());
  return defaults;
}

absl::StatusOr<RequestDefaults> ReadGenerationDefaults(const std::vector<std::string>& folders,
                                                       const Capabilities& capabilities) {
  for (const std::string& folder : folders) {
    const std::string path = absl::StrCat(folder, "/", kGenerationDefaultsFile);
    std::error_code error;
    if (!std::filesystem::exists(path, error)) continue;
    ASSIGN_OR_RETURN(const std::string text, ReadFile(path, JsonLimits().max_bytes));
    return ParseGenerationDefaults(text, path, capabilities);
  }
  return capabilities.defaults;
}

}  // namespace kandinsky
