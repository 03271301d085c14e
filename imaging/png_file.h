#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>

#include "absl/status/statusor.h"

namespace kandinsky {

// The parts of a PNG file that its image is made of. Views point into the file.
struct PngFile {
  int width = 0;
  int height = 0;
  int bit_depth = 0;
  int color_type = 0;
  bool interlaced = false;
  std::string_view palette;       // PLTE; empty without one
  std::string_view transparency;  // tRNS; empty without one
  // The first run of IDAT chunks as they stand in the file. Where the file ends in
  // the middle of one, what there is of its data is in `cut_pixels`.
  std::string_view pixel_chunks;
  std::string_view cut_pixels;
  int orientation = 1;
};

bool HasPngSignature(std::string_view bytes);

// Walks over the chunks, as far as Pillow 13 does: it takes the last of several alike, wants the checksums of
// all chunks before the pixels to be right and does not look at the later ones, takes metadata on both
// sides of the pixels, and stops at IEND, at the next frame of an animation, or at what is no chunk. Pixels
// are not looked at. INVALID_ARGUMENT when the file cannot be an image. Memory: at most 2 MiB, for
// compressed texts that may tell the orientation. Thread-safe.
absl::StatusOr<PngFile> ReadPngFile(std::string_view bytes);

// A file that holds nothing but what the image of `file` takes, up to where its `pixel_chunks` are to
// follow, for a decoder that does not check checksums.
std::string PngHead(const PngFile& file);

// The header of an IDAT chunk of `length` bytes.
std::string PixelChunkHeader(size_t length);

}  // namespace kandinsky
