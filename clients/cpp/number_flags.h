#pragma once

#include <CLI/CLI.hpp>
#include <cstdint>
#include <limits>
#include <optional>
#include <string>
#include <vector>

namespace kandinsky::client {

// Numbers on the command line: decimal digits with an optional sign, leading zeros without a meaning, and for
// fractions a point or an exponent. Everything else (other bases, spaces, nan, inf, text behind the number)
// is refused, and so is what the type or the range does not hold; CLI11's own conversions clamp and read
// octal.

// What a flag may be.
template <typename Number>
struct NumberRange {
  Number min;
  Number max;
  bool above_min = false;         // `min` itself is not allowed
  const char* instead = nullptr;  // what else to do, for the error
};

// All that a field of a request holds: for numbers whose limits are the model's or the operator's. The server
// knows and says them.
constexpr NumberRange<int> kAnyCount = {.min = 1, .max = std::numeric_limits<int32_t>::max()};
constexpr NumberRange<double> kAnyFloat = {.min = std::numeric_limits<float>::lowest(),
                                           .max = std::numeric_limits<float>::max()};

// The number in `text`. Throws CLI::ValidationError with one line that names the flag, the text and the
// range. For int, uint64_t and double.
template <typename Number>
Number ParseNumber(const std::string& flag, const std::string& text, const NumberRange<Number>& range);

// A flag with such a number; given several times, the last one holds.
template <typename Number>
CLI::Option* AddNumberFlag(CLI::App& app, const std::string& names, std::optional<Number>& value,
                           const NumberRange<Number>& range, const std::string& help);

// A flag with numbers between commas; given several times, they follow each other.
CLI::Option* AddNumbersFlag(CLI::App& app, const std::string& names, std::vector<uint64_t>& values,
                            const NumberRange<uint64_t>& range, const std::string& help);

// `text` in quotes and printable characters, cut when it is long: for messages.
std::string Quoted(const std::string& text);

}  // namespace kandinsky::client
