#pragma once

#include <string_view>

#include "absl/status/statusor.h"
#include "imaging/encoded_header.h"
#include "imaging/image.h"

namespace kandinsky {

// JPEG as DecodeImage needs it. The header is to be checked against the caller's limits before pixels are
// asked for. Errors as in encoded_image.h. Thread-safe.

bool HasJpegSignature(std::string_view bytes);

// Walks over the segments up to the first scan: the frame header, EXIF and XMP.
absl::StatusOr<EncodedHeader> ReadJpegHeader(std::string_view bytes);

// Decodes as stored: 1 channel (gray) or 3.
absl::StatusOr<Image> DecodeJpegPixels(std::string_view bytes, const EncodedHeader& header);

}  // namespace kandinsky
