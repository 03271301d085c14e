#pragma once

#include <string_view>

#include "absl/status/statusor.h"
#include "imaging/encoded_header.h"
#include "imaging/image.h"

namespace kandinsky {

// PNG as DecodeImage needs it. The header is to be checked against the caller's limits before pixels are
// asked for. Errors as in encoded_image.h. Thread-safe.

// Walks over the chunks (png_file.h); pixels are not looked at.
absl::StatusOr<EncodedHeader> ReadPngHeader(std::string_view bytes);

// Decodes the whole file as stored to 8 bits: 1 channel (opaque gray), 3 or 4.
absl::StatusOr<Image> DecodePngPixels(std::string_view bytes, const EncodedHeader& header);

// Decodes a file whose header says gray16. The "channels" of the result are the high and the low byte of the
// gray value, and then those of alpha if anything may be transparent.
absl::StatusOr<Image> DecodePngGray16(std::string_view bytes, const EncodedHeader& header);

}  // namespace kandinsky
