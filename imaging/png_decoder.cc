#include "imaging/png_decoder.h"

#include <png.h>

#include <csetjmp>
#include <cstring>
#include <limits>
#include <vector>

#include "base/status_macros.h"
#include "imaging/exif.h"

namespace kandinsky {
namespace {

constexpr std::string_view kSignature("\x89PNG\r\n\x1a\n", 8);
constexpr size_t kChunkOverhead = 12;  // length, type, CRC
constexpr size_t kHeaderBytes = 13;

uint32_t GetUint32(std::string_view bytes, size_t at) {
  uint32_t value = 0;
  for (size_t i = 0; i < 4; ++i) value = value << 8 | static_cast<uint8_t>(bytes[at + i]);
  return value;
}

// What libpng's callbacks share. They leave by longjmp, so nothing here has a destructor.
struct DecodeState {
  const char* next = nullptr;
  size_t remaining = 0;
  bool failed = false;
  // For BoundPixelData.
  size_t after_pixel_data = 0;  // bytes of the file behind the compressed pixels
  size_t chunk_bytes = 0;       // of the frames of the chunks that these come in
  size_t stored_row_bytes = 0;  // a row as compressed, with its filter
  size_t height = 0;
  int last_pass = 0;  // of an interlaced picture
  bool too_much = false;
};

// libpng inflates whatever follows the last row before it complains, a thousand bytes for each byte of the
// file. So the compressed data that is still to come may never be more than the rows that are still to come
// take at worst, stored uncompressed, and a bit.
bool HasTooMuchPixelData(const DecodeState& state, size_t rows) {
  constexpr size_t kSlack =
      64 << 10;  // what the interlaced passes, the blocks of the compressor and libpng's buffer add
  const size_t to_come =
      state.remaining > state.after_pixel_data ? state.remaining - state.after_pixel_data : 0;
  return to_come >
         rows * state.stored_row_bytes + rows * state.stored_row_bytes / 8 + state.chunk_bytes + kSlack;
}

void OnRow(png_structp png, png_uint_32 row, int pass) {
  auto* state = static_cast<DecodeState*>(png_get_io_ptr(png));
  if (pass != state->last_pass || !HasTooMuchPixelData(*state, state->height - row)) return;
  state->too_much = true;
  png_error(png, "more data than pixels");
}

void OnError(png_structp png, png_const_charp /*message*/) {
  static_cast<DecodeState*>(png_get_error_ptr(png))->failed = true;
  png_longjmp(png, 1);
}

// Messages may quote the file, so none is kept.
void OnWarning(png_structp png, png_const_charp /*message*/) {
  static_cast<DecodeState*>(png_get_error_ptr(png))->failed = true;
}

void OnRead(png_structp png, png_bytep out, size_t count) {
  auto* state = static_cast<DecodeState*>(png_get_io_ptr(png));
  if (count > state->remaining) png_error(png, "the file ends too early");
  std::memcpy(out, state->next, count);
  state->next += count;
  state->remaining -= count;
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
  png_set_chunk_cache_max(png, 16);
  png_set_chunk_malloc_max(png, 1 << 20);
  png_set_benign_errors(png, 0);
  png_set_crc_action(png, PNG_CRC_ERROR_QUIT, PNG_CRC_ERROR_QUIT);
  // Ancillary chunks (profiles, texts, animation) are skipped unread: they change nothing here and are where
  // decompression bombs hide. libpng keeps reading IHDR, PLTE, tRNS, IDAT and IEND.
  png_set_keep_unknown_chunks(png, PNG_HANDLE_CHUNK_NEVER, nullptr, -1);
  png_read_info(png, info);
  return true;
}

// Asks for 8-bit samples without palette or colour key. Grey stays grey unless it has an alpha channel.
bool ExpandTo8Bits(png_structp png, png_infop info) {
  if (setjmp(png_jmpbuf(png)) != 0) return false;
  png_set_expand(png);
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
  state->stored_row_bytes = png_get_rowbytes(png, info) + 1;
  state->height = png_get_image_height(png, info);
  state->last_pass = png_get_interlace_type(png, info) == PNG_INTERLACE_NONE ? 0 : 6;
  png_set_read_status_fn(png, OnRow);
  png_set_interlace_handling(png);
  png_read_update_info(png, info);
  return png_get_rowbytes(png, info);
}

bool ReadPixels(png_structp png, png_bytepp rows) {
  if (setjmp(png_jmpbuf(png)) != 0) return false;
  png_read_image(png, rows);
  png_read_end(png, nullptr);
  return true;
}

absl::Status TooMuchPixelData() { return CannotDecode("PNG", "more data than pixels"); }

absl::Status Damaged() { return CannotDecode("PNG", "damaged or truncated"); }

absl::StatusOr<Image> Decode(std::string_view bytes, const EncodedHeader& header, bool to_8_bits) {
  DecodeState state;
  state.next = bytes.data();
  state.remaining = bytes.size();
  state.after_pixel_data = bytes.size() - header.pixel_data_end;
  state.chunk_bytes = header.pixel_chunks * kChunkOverhead;
  const PngReader reader(&state);
  if (!reader.ok()) return absl::ResourceExhaustedError("no memory for the PNG decoder");
  if (!ReadInfo(reader.png(), reader.info(), header)) return Damaged();
  if (to_8_bits && !ExpandTo8Bits(reader.png(), reader.info())) return Damaged();
  const size_t row_bytes = FinishSetup(reader.png(), reader.info());
  if (row_bytes == 0 || state.failed) return Damaged();
  const int pixel_bytes = to_8_bits ? png_get_channels(reader.png(), reader.info()) : 2;
  if (row_bytes != static_cast<size_t>(header.width) * static_cast<size_t>(pixel_bytes)) return Damaged();

  ASSIGN_OR_RETURN(Image image, AllocateImage(header.width, header.height, pixel_bytes));
  std::vector<png_bytep> rows(static_cast<size_t>(header.height));
  for (size_t y = 0; y < rows.size(); ++y) rows[y] = image.pixels.data() + y * row_bytes;
  // An interlaced picture stores each row in several parts with a filter each; an eighth more covers them.
  if (HasTooMuchPixelData(state, state.height)) return TooMuchPixelData();
  const bool read = ReadPixels(reader.png(), rows.data());
  if (state.too_much) return TooMuchPixelData();
  if (!read || state.failed) return Damaged();
  if (state.remaining != 0) return CannotDecode("PNG", "bytes after the end");
  return image;
}

}  // namespace

bool HasPngSignature(std::string_view bytes) { return bytes.substr(0, kSignature.size()) == kSignature; }

absl::StatusOr<EncodedHeader> ReadPngHeader(std::string_view bytes) {
  size_t at = kSignature.size();
  if (bytes.size() < at + kChunkOverhead + kHeaderBytes || GetUint32(bytes, at) != kHeaderBytes ||
      bytes.substr(at + 4, 4) != "IHDR") {
    return CannotDecode("PNG", "no header");
  }
  const uint32_t width = GetUint32(bytes, at + 8);
  const uint32_t height = GetUint32(bytes, at + 12);
  constexpr uint32_t kMaxSide = std::numeric_limits<int32_t>::max();
  if (width == 0 || height == 0 || width > kMaxSide || height > kMaxSide) {
    return CannotDecode("PNG", "impossible size");
  }
  EncodedHeader header{static_cast<int>(width), static_cast<int>(height)};
  header.grey16 = bytes[at + 16] == 16 && bytes[at + 17] == PNG_COLOR_TYPE_GRAY;

  bool oriented = false;
  at += kChunkOverhead + kHeaderBytes;
  while (bytes.size() - at >= kChunkOverhead) {
    const size_t length = GetUint32(bytes, at);
    const std::string_view type = bytes.substr(at + 4, 4);
    if (length > bytes.size() - at - kChunkOverhead) break;  // truncated: the decoder's to refuse
    if (type == "tRNS") header.grey16 = false;
    if (type == "eXIf" && !oriented) {
      oriented = true;
      header.orientation = ReadExifOrientation(bytes.substr(at + 8, length));
    }
    at += kChunkOverhead + length;
    if (type != "IDAT") continue;
    header.pixel_data_end = at;
    ++header.pixel_chunks;
  }
  return header;
}

absl::StatusOr<Image> DecodePngPixels(std::string_view bytes, const EncodedHeader& header) {
  return Decode(bytes, header, /*to_8_bits=*/true);
}

absl::StatusOr<Image> DecodePngGrey16(std::string_view bytes, const EncodedHeader& header) {
  return Decode(bytes, header, /*to_8_bits=*/false);
}

}  // namespace kandinsky
