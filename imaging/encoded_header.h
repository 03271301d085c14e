#pragma once

#include "absl/status/status.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/string_view.h"

namespace kandinsky {

// What a decoder has to know before it starts: the size as stored, before orientation.
struct EncodedHeader {
  int width = 0;
  int height = 0;
  int orientation = 1;  // as EXIF numbers them, 1-8
  bool gray16 = false;  // a gray PNG of 16 bits, with or without transparency
};

// The one form of error that decoders give: `format` and `reason` are fixed texts.
inline absl::Status CannotDecode(absl::string_view format, absl::string_view reason) {
  return absl::InvalidArgumentError(absl::StrCat(format, " cannot be decoded: ", reason));
}

}  // namespace kandinsky
