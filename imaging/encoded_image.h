#pragma once

#include <cstddef>
#include <cstdint>
#include <string_view>
#include <vector>

#include "absl/status/statusor.h"
#include "imaging/depth_map.h"
#include "imaging/image.h"

namespace kandinsky {

enum class ImageFormat { kPng, kJpeg, kWebp };

// What a file may ask for; checked before anything is allocated or decoded. No side may be longer than
// kMaxImageSide either.
struct DecodeLimits {
  int64_t max_pixels = 16'000'000;
  size_t max_encoded_bytes = 8u << 20;
};

// What the header of a file says.
struct ImageInfo {
  ImageFormat format = ImageFormat::kPng;
  int width = 0;  // as displayed, that is after EXIF orientation
  int height = 0;
};

// The functions below read files of strangers. The format is told by the first bytes. A file within the
// limits costs at most its decoded pixels and what its codec needs (for a progressive JPEG up to 100 MiB);
// any other costs nothing but a look at its header. All are thread-safe.
//
// Errors: INVALID_ARGUMENT with one of a small set of texts that repeat nothing from the file;
// RESOURCE_EXHAUSTED when there is no memory.
//
// Rules:
// - What Pillow 13 reads is read, to the same pixels, unless pixel data are missing or damaged: then the file
//   is refused, also where Pillow makes something up for them. What follows the pixels does not matter: bytes
//   behind the end, or in the compressed stream behind the last row, a missing end mark or checksum. Nor do
//   chunks and flags without effect. tests/golden/imaging/README.md lists where this and Pillow part.
// - The orientation is applied that Pillow's exif_transpose finds: EXIF (JPEG APP1, PNG eXIf or a "Raw
//   profile type exif" text, WebP EXIF) or, without one there, XMP (JPEG APP1, PNG text, WebP). Color
//   profiles, gamma and other texts are ignored.
// - Transparency of any kind (alpha, tRNS, palettes) is laid over a ground: white for images, black (far)
//   for depth maps, what is not painted for masks.
// - Gray and palettes are expanded. 16-bit samples keep their high byte.
// - CMYK and YCCK JPEGs are read by Adobe's convention (inverted) and converted without a profile, which is
//   what Pillow does. JPEGs of 12 bits, lossless or hierarchical are refused, as are those of more than 100
//   scans.
// - The first image of an animated PNG is the image, as its specification says; animated WebP is refused.

// Reads headers only: at most a walk over the chunks of the file, no pixels.
absl::StatusOr<ImageInfo> ProbeImage(std::string_view bytes, const DecodeLimits& limits = {});

// What shows where an image is transparent.
enum class Ground { kBlack, kWhite };

// Decodes to 8-bit RGB.
absl::StatusOr<Image> DecodeImage(std::string_view bytes, const DecodeLimits& limits = {},
                                  Ground ground = Ground::kWhite);

// Decodes to one gray channel, for masks: the image over `ground`, as luma as Pillow's convert("L")
// computes it. Gray files keep their values.
absl::StatusOr<Image> DecodeGray(std::string_view bytes, const DecodeLimits& limits = {},
                                 Ground ground = Ground::kBlack);

// Decodes a depth map, over black: 16-bit gray PNGs as value / 65535 times alpha / 65535, anything else as
// DecodeGray's value / 255.
absl::StatusOr<DepthMap> DecodeDepth(std::string_view bytes, const DecodeLimits& limits = {});

}  // namespace kandinsky
