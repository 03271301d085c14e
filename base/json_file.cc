#include "base/json_file.h"

#include <algorithm>
#include <cstdint>
#include <set>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "absl/strings/escaping.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "base/mapped_file.h"
#include "base/status_macros.h"

namespace kandinsky {
namespace {

// Walks the text without building anything and stops at the first violation. nlohmann's own parser would
// merge duplicate keys, turn large integers into floats and nest without bound.
class StrictChecker : public nlohmann::json_sax<nlohmann::json> {
 public:
  explicit StrictChecker(const JsonLimits& limits) : limits_(limits) {}

  const std::string& error() const { return error_; }

  bool null() override { return true; }
  bool boolean(bool) override { return true; }
  bool number_integer(number_integer_t) override { return true; }
  bool number_unsigned(number_unsigned_t) override { return true; }
  bool number_float(number_float_t, const string_t& text) override {
    if (limits_.allow_big_integers || text.find_first_of(".eE") != std::string::npos) return true;
    return Fail(absl::StrCat("integer ", text.substr(0, 40), " is beyond 64 bits"));
  }
  bool string(string_t&) override { return true; }
  bool binary(binary_t&) override { return Fail("binary value"); }
  bool start_object(size_t) override { return Open(); }
  bool start_array(size_t) override { return Open(); }
  bool end_object() override { return Close(); }
  bool end_array() override { return Close(); }
  bool key(string_t& name) override {
    if (keys_.back().insert(name).second) return true;
    return Fail(absl::StrCat("key \"", absl::CHexEscape(name.substr(0, 100)), "\" appears twice"));
  }
  bool parse_error(size_t position, const std::string&, const nlohmann::json::exception&) override {
    return Fail(absl::StrCat("not valid JSON at byte ", position));
  }

 private:
  bool Open() {
    if (static_cast<int>(keys_.size()) == limits_.max_depth) {
      return Fail(absl::StrCat("nested deeper than ", limits_.max_depth, " levels"));
    }
    keys_.emplace_back();
    return true;
  }
  bool Close() {
    keys_.pop_back();
    return true;
  }
  bool Fail(std::string message) {
    error_ = std::move(message);
    return false;
  }

  const JsonLimits& limits_;
  std::vector<std::set<std::string>> keys_;  // of each open object; unused for arrays
  std::string error_;
};

// `text` with NaN, Infinity and -Infinity outside strings replaced by null.
std::string WithoutNonFinite(absl::string_view text) {
  std::string result;
  bool in_string = false;
  for (size_t at = 0; at < text.size();) {
    const absl::string_view rest = text.substr(at);
    if (in_string && rest[0] == '\\' && rest.size() > 1) {
      absl::StrAppend(&result, rest.substr(0, 2));
      at += 2;
      continue;
    }
    if (rest[0] == '"') in_string = !in_string;
    size_t taken = 0;
    for (const absl::string_view token : {"-Infinity", "Infinity", "NaN"}) {
      if (!in_string && taken == 0 && absl::StartsWith(rest, token)) taken = token.size();
    }
    absl::StrAppend(&result, taken > 0 ? "null" : rest.substr(0, 1));
    at += std::max(taken, size_t{1});
  }
  return result;
}

}  // namespace

absl::StatusOr<nlohmann::json> ParseJson(absl::string_view given, const std::string& name,
                                         const JsonLimits& limits) {
  if (given.size() > limits.max_bytes) {
    return absl::InvalidArgumentError(
        absl::StrCat(name, ": ", given.size(), " bytes of JSON, more than the limit of ", limits.max_bytes));
  }
  const std::string replaced = limits.non_finite_as_null ? WithoutNonFinite(given) : "";
  const absl::string_view text = limits.non_finite_as_null ? absl::string_view(replaced) : given;
  // nlohmann's lexer takes NUL for the end of the text and would ignore what follows.
  const size_t nul = text.find('\0');
  if (nul != absl::string_view::npos) {
    return absl::InvalidArgumentError(absl::StrCat(name, ": not valid JSON at byte ", nul + 1));
  }
  StrictChecker checker(limits);
  if (!nlohmann::json::sax_parse(text.begin(), text.end(), &checker)) {
    return absl::InvalidArgumentError(absl::StrCat(name, ": ", checker.error()));
  }
  return nlohmann::json::parse(text.begin(), text.end(), nullptr, /*allow_exceptions=*/false);
}

absl::StatusOr<nlohmann::json> ReadJsonFile(const std::string& path, const JsonLimits& limits) {
  ASSIGN_OR_RETURN(const std::string text, ReadFile(path, limits.max_bytes));
  return ParseJson(text, path, limits);
}

}  // namespace kandinsky
