#include "imaging/png_decoder.h"

#include <png.h>

#include <algorithm>
#include <array>
#include <csetjmp>
#include <cstring>
#include <string>
#include <vector>

#include "base/status_macros.h"
#include "imaging/png_file.h"

namespace kandinsky {
namespace {

// What libpng's callbacks share. They leave by longjmp, so nothing here has a destructor.
struct DecodeState {
  // What libpng reads, one after the other: a head with what belongs to the image, and the compressed
  // pixels as they stand in the file. It sees nothing else of it: profiles, texts and animation change
  // nothing here and are where decompression bombs hide.
  std::array<std::string_view, 4> parts;
  bool complete = false;  // an error came up, but behind the last row
  size_t height = 0;
  int last_pass = 0;  // of an interlaced image
};

// Whether libpng has given out all rows. It reads on after the last one, to the end of the compressed data.
bool HasAllRows(png_structp png, const DecodeState& state) {
  if (state.last_pass > 0) return png_get_current_pass_number(png) > state.last_pass;
  return state.height > 0 && png_get_current_row_number(png) >= state.height;
}

void OnError(png_structp png, png_const_charp /*message*/) {
  auto* state = static_cast<DecodeState*>(png_get_error_ptr(png));
  state->complete = HasAllRows(png, *state);
  png_longjmp(png, 1);
}

// libpng warns of what does not matter, such as bytes that are left over, and calls the rest errors.
void OnWarning(png_structp /*png*/, png_const_charp /*message*/) {}

void OnRead(png_structp png, png_bytep out, size_t count) {
  auto* state = static_cast<DecodeState*>(png_get_io_ptr(png));
  // libpng would inflate whatever follows the last row, a thousand bytes for each byte of the file. So it
  // gets none of that but for what is in its buffer of 8 KiB already.
  if (HasAllRows(png, *state)) png_error(png, "enough");
  for (std::string_view& part : state->parts) {
    const size_t taken = std::min(count, part.size());
    if (taken > 0) std::memcpy(out, part.data(), taken);
    part.remove_prefix(taken);
    out += taken;
    count -= taken;
  }
  if (count > 0) png_error(png, "the file ends too early");
}

// Owns libpng's structures.
class PngReader {
 public:
  explicit PngReader(DecodeState* state)
      : png_(png_create_read_struct(PNG_LIBPNG_VER_STRING, state, OnError, OnWarning)),
        info_(png_ == nullptr ? nullptr : png_create_info_struct(png_)) {
    if (png_ != nullptr) png_set_read_fn(png_, state, OnRead);
  }
  ~PngReader() { png_destroy_read_struct(&png_, &info_, nullptr); }
  PngReader(const PngReader&) = delete;
  PngReader& operator=(const PngReader&) = delete;

  bool ok() const { return info_ != nullptr; }
  png_structp png() const { return png_; }
  png_infop info() const { return info_; }

 private:
  png_structp png_;
  png_infop info_;
};

// The functions below are where libpng's longjmp lands. They own nothing that has a destructor.

bool ReadInfo(png_structp png, png_infop info, const EncodedHeader& header) {
  if (setjmp(png_jmpbuf(png)) != 0) return false;
  png_set_user_limits(png, static_cast<png_uint_32>(header.width), static_cast<png_uint_32>(header.height));
  // The head's checksums were looked at before; those of the chunks with the pixels are ignored.
  png_set_crc_action(png, PNG_CRC_QUIET_USE, PNG_CRC_QUIET_USE);
  // Some encoders promise a smaller window than they use.
  png_set_option(png, PNG_MAXIMUM_INFLATE_WINDOW, PNG_OPTION_ON);
  png_set_benign_errors(png, 1);
  png_read_info(png, info);
  return true;
}

// Asks for samples without palette or color key, of 8 bits or as stored. Gray of 8 bits stays gray unless it
// is transparent somewhere.
bool ExpandSamples(png_structp png, png_infop info, bool to_8_bits) {
  if (setjmp(png_jmpbuf(png)) != 0) return false;
  png_set_expand(png);
  if (!to_8_bits) return true;
  png_set_strip_16(png);
  const bool transparent = (png_get_color_type(png, info) & PNG_COLOR_MASK_ALPHA) != 0 ||
                           png_get_valid(png, info, PNG_INFO_tRNS) != 0;
  if (transparent) png_set_gray_to_rgb(png);
  return true;
}

// Returns the bytes of an output row, 0 after an error.
size_t FinishSetup(png_structp png, png_infop info) {
  if (setjmp(png_jmpbuf(png)) != 0) return 0;
  auto* state = static_cast<DecodeState*>(png_get_io_ptr(png));
  state->height = png_get_image_height(png, info);
  state->last_pass = png_get_interlace_type(png, info) == PNG_INTERLACE_NONE ? 0 : 6;
  png_set_interlace_handling(png);
  png_read_update_info(png, info);
  return png_get_rowbytes(png, info);
}

// What follows the pixels is not read.
bool ReadPixels(png_structp png, png_bytepp rows) {
  if (setjmp(png_jmpbuf(png)) != 0) return false;
  png_read_image(png, rows);
  return true;
}

absl::Status Damaged() { return CannotDecode("PNG", "damaged or truncated"); }

absl::StatusOr<Image> Decode(std::string_view bytes, const EncodedHeader& header, bool to_8_bits) {
  ASSIGN_OR_RETURN(const PngFile file, ReadPngFile(bytes));
  const std::string head = PngHead(file);
  const std::string cut_header = PixelChunkHeader(file.cut_pixels.size());
  DecodeState state;
  state.parts = {head, file.pixel_chunks, cut_header, file.cut_pixels};
  const PngReader reader(&state);
  if (!reader.ok()) return absl::ResourceExhaustedError("no memory for the PNG decoder");
  if (!ReadInfo(reader.png(), reader.info(), header)) return Damaged();
  if (!ExpandSamples(reader.png(), reader.info(), to_8_bits)) return Damaged();
  const size_t row_bytes = FinishSetup(reader.png(), reader.info());
  if (row_bytes == 0) return Damaged();
  const int samples = png_get_channels(reader.png(), reader.info());
  const int pixel_bytes = to_8_bits ? samples : 2 * samples;
  if (row_bytes != static_cast<size_t>(header.width) * static_cast<size_t>(pixel_bytes)) return Damaged();

  ASSIGN_OR_RETURN(Image image, AllocateImage(header.width, header.height, pixel_bytes));
  std::vector<png_bytep> rows(static_cast<size_t>(header.height));
  for (size_t y = 0; y < rows.size(); ++y) rows[y] = image.pixels.data() + y * row_bytes;
  if (!ReadPixels(reader.png(), rows.data()) && !state.complete) return Damaged();
  return image;
}

}  // namespace

absl::StatusOr<EncodedHeader> ReadPngHeader(std::string_view bytes) {
  ASSIGN_OR_RETURN(const PngFile file, ReadPngFile(bytes));
  EncodedHeader header{file.width, file.height, file.orientation};
  header.gray16 = file.bit_depth == 16 && (file.color_type & PNG_COLOR_MASK_COLOR) == 0;
  return header;
}

absl::StatusOr<Image> DecodePngPixels(std::string_view bytes, const EncodedHeader& header) {
  return Decode(bytes, header, /*to_8_bits=*/true);
}

absl::StatusOr<Image> DecodePngGray16(std::string_view bytes, const EncodedHeader& header) {
  return Decode(bytes, header, /*to_8_bits=*/false);
}

}  // namespace kandinsky
