#pragma once

#include <string>
#include <utility>
#include <vector>

#include "absl/status/statusor.h"
#include "imaging/image.h"

namespace kandinsky {

// What goes into a PNG besides the pixels.
struct PngOptions {
  // zlib level 1 (fast) to 12 (small), as libdeflate counts.
  int compression_level = 1;
  // Written as iTXt (UTF-8) chunks before the pixels. Keys: 1-79 Latin-1 characters.
  std::vector<std::pair<std::string, std::string>> text;
};

// Encodes `image` (1, 3 or 4 channels). INVALID_ARGUMENT when size, channels and pixel count disagree or an
// option is out of range. Thread-safe.
absl::StatusOr<std::string> EncodePng(const Image& image, const PngOptions& options = {});

}  // namespace kandinsky
