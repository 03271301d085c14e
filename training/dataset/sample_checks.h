#pragma once

#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/string_view.h"

namespace kandinsky::training {

// Why `text` cannot be a caption or a path: it is not UTF-8, or has a NUL character, which file names and
// tokenizers take for an end. Nothing when it can.
std::optional<std::string> TextViolation(absl::string_view text);

// Takes white space off the captions. Why they cannot be learned, or nothing. Without `required` there may be
// none, and those that are empty are taken out.
std::optional<std::string> CaptionsViolation(bool required, std::vector<std::string>& captions);

// Why there is no image at `path`: nothing, or no file. Nothing when there is; its content is not looked
// at.
std::optional<std::string> ImageViolation(const std::string& path);

// `text` without the byte order mark that some programs put before UTF-8.
absl::string_view WithoutByteOrderMark(absl::string_view text);

}  // namespace kandinsky::training
