#include "clients/cpp/number_flags.h"

#include <charconv>
#include <cmath>
#include <type_traits>

#include "absl/strings/escaping.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"

namespace kandinsky::client {
namespace {

constexpr size_t kMostQuotedBytes = 40;

// The longest of the names "-o,--output".
std::string LongName(const std::string& names) {
  const std::vector<std::string> all = absl::StrSplit(names, ',');
  for (const std::string& name : all) {
    if (name.rfind("--", 0) == 0) return name;
  }
  return all.front();
}

// Reads all of `text`, or nothing.
template <typename Number>
std::optional<Number> FromText(const std::string& text) {
  const char* begin = text.data();
  const char* const end = begin + text.size();
  // from_chars knows no plus.
  if (text.size() > 1 && text[0] == '+' && text[1] != '-') ++begin;
  Number number = 0;
  const std::from_chars_result result = std::from_chars(begin, end, number);
  if (result.ec != std::errc() || result.ptr != end) return std::nullopt;
  if (!std::isfinite(static_cast<double>(number))) return std::nullopt;
  return number;
}

template <typename Number>
const char* TypeName() {
  if (std::is_same_v<Number, double>) return "FLOAT";
  return std::is_unsigned_v<Number> ? "UINT" : "INT";
}

}  // namespace

std::string Quoted(const std::string& text) {
  const std::string shown = text.size() <= kMostQuotedBytes ? text : text.substr(0, kMostQuotedBytes) + "...";
  return absl::StrCat("\"", absl::Utf8SafeCEscape(shown), "\"");
}

template <typename Number>
Number ParseNumber(const std::string& flag, const std::string& text, const NumberRange<Number>& range) {
  const std::optional<Number> number = FromText<Number>(text);
  const bool large_enough = number && (range.above_min ? *number > range.min : *number >= range.min);
  if (large_enough && *number <= range.max) return *number;
  throw CLI::ValidationError(absl::StrCat(
      flag, " ", Quoted(text), ": must be a ", std::is_integral_v<Number> ? "whole number" : "number", ", ",
      range.above_min ? "above " : "", range.min, " to ", range.max, range.instead == nullptr ? "" : "; ",
      range.instead == nullptr ? "" : range.instead));
}

template <typename Number>
CLI::Option* AddNumberFlag(CLI::App& app, const std::string& names, std::optional<Number>& value,
                           const NumberRange<Number>& range, const std::string& help) {
  return app
      .add_option_function<std::string>(
          names,
          [&value, range, flag = LongName(names)](const std::string& text) {
            value = ParseNumber(flag, text, range);
          },
          help)
      ->type_name(TypeName<Number>());
}

CLI::Option* AddNumbersFlag(CLI::App& app, const std::string& names, std::vector<uint64_t>& values,
                            const NumberRange<uint64_t>& range, const std::string& help) {
  return app
      .add_option_function<std::vector<std::string>>(
          names,
          [&values, range, flag = LongName(names)](const std::vector<std::string>& lists) {
            for (const std::string& list : lists) {
              for (const absl::string_view text : absl::StrSplit(list, ',')) {
                values.push_back(ParseNumber(flag, std::string(text), range));
              }
            }
          },
          help)
      ->type_name("UINT,...")
      ->allow_extra_args(false);
}

template int ParseNumber(const std::string&, const std::string&, const NumberRange<int>&);
template uint64_t ParseNumber(const std::string&, const std::string&, const NumberRange<uint64_t>&);
template double ParseNumber(const std::string&, const std::string&, const NumberRange<double>&);
template CLI::Option* AddNumberFlag(CLI::App&, const std::string&, std::optional<int>&,
                                    const NumberRange<int>&, const std::string&);
template CLI::Option* AddNumberFlag(CLI::App&, const std::string&, std::optional<uint64_t>&,
                                    const NumberRange<uint64_t>&, const std::string&);
template CLI::Option* AddNumberFlag(CLI::App&, const std::string&, std::optional<double>&,
                                    const NumberRange<double>&, const std::string&);

}  // namespace kandinsky::client
