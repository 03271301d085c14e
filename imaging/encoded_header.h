#pragma once

#include <cstddef>

#include "absl/status/status.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/string_view.h"

namespace kandinsky {

// What a decoder has to know before it starts: the size as stored, before orientation.
struct EncodedHeader {
  int width = 0;
  int height = 0;
  int orientation = 1;  // EXIF, 1-8
  bool grey16 = false;  // an opaque grey PNG of 16 bits
  // Of a PNG: where its compressed pixels end in the file, and in how many chunks they come.
  size_t pixel_data_end = 0;
  size_t pixel_chunks = 0;
};

// The one form of error that decoders give: `format` and `reason` are fixed texts.
inline absl::Status CannotDecode(absl::string_view format, absl::string_view reason) {
  return absl::InvalidArgumentError(absl::StrCat(format, " cannot be decoded: ", reason));
}

}  // namespace kandinsky
