#pragma once

#include <string_view>

#include "absl/status/statusor.h"
#include "imaging/encoded_header.h"
#include "imaging/image.h"

namespace kandinsky {

// WebP as DecodeImage needs it. The header is to be checked against the caller's limits before pixels are
// asked for. Errors as in encoded_image.h. Thread-safe.

bool HasWebpSignature(std::string_view bytes);

// Reads the headers of the file and of its image, and the EXIF and XMP chunks where the extended header
// announces them.
absl::StatusOr<EncodedHeader> ReadWebpHeader(std::string_view bytes);

// Decodes as stored: 3 channels, or 4 where the file has transparency.
absl::StatusOr<Image> DecodeWebpPixels(std::string_view bytes, const EncodedHeader& header);

}  // namespace kandinsky
