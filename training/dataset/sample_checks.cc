#include "training/dataset/sample_checks.h"

#include <unicode/utf8.h>

#include <cstdint>
#include <filesystem>
#include <system_error>

#include "absl/strings/str_cat.h"
#include "absl/strings/strip.h"
#include "base/white_space.h"

namespace kandinsky::training {
namespace {

bool IsUtf8(absl::string_view text) {
  // Captions and records are far below 2^31 bytes.
  const auto size = static_cast<int32_t>(text.size());
  for (int32_t at = 0; at < size;) {
    UChar32 character = 0;
    U8_NEXT(text.data(), at, size, character);
    if (character < 0) return false;
  }
  return true;
}

}  // namespace

std::optional<std::string> TextViolation(absl::string_view text) {
  if (!IsUtf8(text)) return "is not UTF-8";
  if (text.find('\0') != absl::string_view::npos) return "has a NUL character";
  return std::nullopt;
}

std::optional<std::string> CaptionsViolation(bool required, std::vector<std::string>& captions) {
  std::vector<std::string> kept;
  kept.reserve(captions.size());
  for (const std::string& caption : captions) {
    if (const auto violation = TextViolation(caption)) return absl::StrCat("the caption ", *violation);
    const absl::string_view text = StripWhiteSpace(caption);
    if (text.empty() && required) return "the caption is empty";
    if (!text.empty()) kept.emplace_back(text);
  }
  if (kept.empty() && required) return "there is no caption";
  captions = std::move(kept);
  return std::nullopt;
}

std::optional<std::string> ImageViolation(const std::string& path) {
  std::error_code error;
  const std::filesystem::file_status status = std::filesystem::status(path, error);
  if (status.type() == std::filesystem::file_type::not_found) return absl::StrCat("there is no image ", path);
  if (error) return absl::StrCat("cannot look at the image ", path, ": ", error.message());
  if (!std::filesystem::is_regular_file(status)) {
    return absl::StrCat("the image ", path, " is not a regular file");
  }
  return std::nullopt;
}

absl::string_view WithoutByteOrderMark(absl::string_view text) {
  absl::ConsumePrefix(&text, "\xEF\xBB\xBF");
  return text;
}

}  // namespace kandinsky::training
