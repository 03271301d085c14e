#pragma once

#include <cstdint>
#include <limits>
#include <nlohmann/json.hpp>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/str_cat.h"

namespace kandinsky {

// A value of a configuration file as a message shows it.
inline std::string TextOf(const nlohmann::json& value) {
  return value.dump(-1, ' ', /*ensure_ascii=*/true, nlohmann::json::error_handler_t::replace).substr(0, 100);
}

// Reads keys of one JSON object into fields of their C++ type and keeps the first complaint, which names
// file, key and value. Keys that are missing or null leave their field as it is. File and object outlive the
// reader.
class ConfigReader {
 public:
  ConfigReader(const std::string& file, const nlohmann::json& object) : file_(file), object_(object) {
    if (!object.is_object()) status_ = absl::InvalidArgumentError(absl::StrCat(file, ": not a JSON object"));
  }

  template <typename T>
  ConfigReader& Read(const char* key, T& field) {
    if (!status_.ok()) return *this;
    const auto found = object_.find(key);
    if (found == object_.end() || found->is_null()) return *this;
    if (!Assign(*found, field)) {
      status_ = absl::InvalidArgumentError(
          absl::StrCat(file_, ": ", key, " is ", TextOf(*found), ", not ", TypeName(field)));
    }
    return *this;
  }

  // What was read, when nothing was wrong with it and `config.Validate()` accepts it.
  template <typename Config>
  absl::StatusOr<Config> Validated(Config config) const {
    if (!status_.ok()) return status_;
    if (absl::Status valid = config.Validate(); !valid.ok()) {
      return absl::InvalidArgumentError(absl::StrCat(file_, ": ", valid.message()));
    }
    return config;
  }

  const absl::Status& status() const { return status_; }

 private:
  static std::string TypeName(bool) { return "true or false"; }
  static std::string TypeName(int64_t) { return "a 64-bit integer"; }
  static std::string TypeName(int) { return "a 32-bit integer"; }
  static std::string TypeName(double) { return "a number"; }
  static std::string TypeName(const std::string&) { return "a string"; }
  template <typename T>
  static std::string TypeName(const std::optional<T>&) {
    return TypeName(T());
  }
  template <typename T>
  static std::string TypeName(const std::vector<T>&) {
    return absl::StrCat("a list whose entries are each ", TypeName(T()));
  }

  static bool Assign(const nlohmann::json& value, bool& field) {
    if (!value.is_boolean()) return false;
    field = value.get<bool>();
    return true;
  }
  static bool Assign(const nlohmann::json& value, int64_t& field) {
    if (!value.is_number_integer()) return false;
    field = value.get<int64_t>();
    return true;
  }
  static bool Assign(const nlohmann::json& value, int& field) {
    int64_t wide = 0;
    if (!Assign(value, wide) || wide < std::numeric_limits<int>::min() ||
        wide > std::numeric_limits<int>::max()) {
      return false;
    }
    field = static_cast<int>(wide);
    return true;
  }
  static bool Assign(const nlohmann::json& value, double& field) {
    if (!value.is_number()) return false;
    field = value.get<double>();
    return true;
  }
  static bool Assign(const nlohmann::json& value, float& field) {
    if (!value.is_number()) return false;
    field = value.get<float>();
    return true;
  }
  static bool Assign(const nlohmann::json& value, std::string& field) {
    if (!value.is_string()) return false;
    field = value.get<std::string>();
    return true;
  }
  template <typename T>
  static bool Assign(const nlohmann::json& value, std::optional<T>& field) {
    return Assign(value, field.emplace());
  }
  template <typename T>
  static bool Assign(const nlohmann::json& value, std::vector<T>& field) {
    if (!value.is_array()) return false;
    std::vector<T> read(value.size());
    for (size_t i = 0; i < value.size(); ++i) {
      if (!Assign(value[i], read[i])) return false;
    }
    field = std::move(read);
    return true;
  }

  const std::string& file_;
  const nlohmann::json& object_;
  absl::Status status_;
};

}  // namespace kandinsky
