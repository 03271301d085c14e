#include "imaging/png.h"

#include <libdeflate.h>
#include <png.h>

#include <algorithm>
#include <array>
#include <csetjmp>
#include <cstdio>
#include <cstring>
#include <limits>
#include <memory>

#include "absl/status/status.h"
#include "absl/strings/str_cat.h"
#include "base/status_macros.h"

namespace kandinsky {
namespace {

constexpr std::array<uint8_t, 8> kSignature = {0x89, 'P', 'N', 'G', '\r', '\n', 0x1a, '\n'};
constexpr size_t kChunkOverhead = 12;  // length, type, CRC
constexpr size_t kHeaderBytes = 13;
constexpr size_t kMaxChunkBytes = std::numeric_limits<int32_t>::max();
constexpr uint8_t kFilterUp = 2;

void PutUint32(uint32_t value, char* out) {
  for (int i = 0; i < 4; ++i) out[i] = static_cast<char>(value >> (24 - 8 * i));
}

uint32_t GetUint32(const char* bytes) {
  uint32_t value = 0;
  for (int i = 0; i < 4; ++i) value = value << 8 | static_cast<uint8_t>(bytes[i]);
  return value;
}

// Fills in length and CRC around the `data_bytes` of chunk data that were already written at `chunk` + 8.
void FinishChunk(const char* type, size_t data_bytes, char* chunk) {
  PutUint32(static_cast<uint32_t>(data_bytes), chunk);
  std::memcpy(chunk + 4, type, 4);
  PutUint32(libdeflate_crc32(0, chunk + 4, data_bytes + 4), chunk + 8 + data_bytes);
}

void AppendChunk(const char* type, std::string_view data, std::string& png) {
  const size_t start = png.size();
  png.resize(start + kChunkOverhead + data.size());
  std::copy(data.begin(), data.end(), png.begin() + static_cast<std::ptrdiff_t>(start + 8));
  FinishChunk(type, data.size(), png.data() + start);
}

std::string HeaderData(const Image& image) {
  std::string data(kHeaderBytes, '\0');
  PutUint32(static_cast<uint32_t>(image.width), data.data());
  PutUint32(static_cast<uint32_t>(image.height), data.data() + 4);
  data[8] = 8;
  const int color_type = image.channels == 1
                             ? PNG_COLOR_TYPE_GRAY
                             : (image.channels == 3 ? PNG_COLOR_TYPE_RGB : PNG_COLOR_TYPE_RGB_ALPHA);
  data[9] = static_cast<char>(color_type);
  return data;
}

// PNG specification, 11.3.4.2: printable Latin-1, no space at either end, no two spaces in a row.
bool IsKeyword(std::string_view key) {
  if (key.empty() || key.size() > 79 || key.front() == ' ' || key.back() == ' ') return false;
  if (key.find("  ") != std::string_view::npos) return false;
  return std::all_of(key.begin(), key.end(), [](char c) {
    const auto byte = static_cast<uint8_t>(c);
    return (byte >= 32 && byte <= 126) || byte >= 161;
  });
}

absl::Status CheckImage(const Image& image) {
  if (image.width < 1 || image.height < 1) {
    return absl::InvalidArgumentError(
        absl::StrCat("cannot encode an image of ", image.width, "x", image.height, " pixels"));
  }
  if (image.channels != 1 && image.channels != 3 && image.channels != 4) {
    return absl::InvalidArgumentError(absl::StrCat("cannot encode ", image.channels, " channels as PNG"));
  }
  if (image.row_bytes() > kMaxChunkBytes / 2 / static_cast<size_t>(image.height)) {
    return absl::InvalidArgumentError("image is too large for one PNG chunk");
  }
  const size_t expected = image.row_bytes() * static_cast<size_t>(image.height);
  if (image.pixels.size() != expected) {
    return absl::InvalidArgumentError(
        absl::StrCat("image has ", image.pixels.size(), " bytes of pixels instead of ", expected));
  }
  return absl::OkStatus();
}

absl::Status CheckOptions(const PngOptions& options) {
  if (options.compression_level < 1 || options.compression_level > 12) {
    return absl::InvalidArgumentError(
        absl::StrCat("compression_level ", options.compression_level, " is not in 1..12"));
  }
  for (const auto& [key, value] : options.text) {
    if (!IsKeyword(key)) return absl::InvalidArgumentError("a PNG text key is not 1-79 Latin-1 characters");
    if (value.size() > kMaxChunkBytes / 2 || value.find('\0') != std::string::npos) {
      return absl::InvalidArgumentError(absl::StrCat("PNG text ", key, " is too long or contains NUL"));
    }
  }
  return absl::OkStatus();
}

// Every row as a filter byte and the differences to the row above: for smooth pictures nearly as good as
// choosing a filter per row, at a fraction of its time.
std::vector<uint8_t> FilterRowsUp(const Image& image) {
  const size_t row_bytes = image.row_bytes();
  std::vector<uint8_t> filtered((row_bytes + 1) * static_cast<size_t>(image.height));
  const std::vector<uint8_t> zero_row(row_bytes);
  const uint8_t* above = zero_row.data();
  const uint8_t* row = image.pixels.data();
  uint8_t* out = filtered.data();
  for (int y = 0; y < image.height; ++y) {
    *out++ = kFilterUp;
    for (size_t i = 0; i < row_bytes; ++i) out[i] = static_cast<uint8_t>(row[i] - above[i]);
    out += row_bytes;
    above = row;
    row += row_bytes;
  }
  return filtered;
}

absl::Status AppendPixels(const Image& image, int compression_level, std::string& png) {
  const std::unique_ptr<libdeflate_compressor, decltype(&libdeflate_free_compressor)> compressor(
      libdeflate_alloc_compressor(compression_level), libdeflate_free_compressor);
  if (compressor == nullptr) return absl::ResourceExhaustedError("no memory for the PNG compressor");
  const std::vector<uint8_t> filtered = FilterRowsUp(image);
  const size_t bound = libdeflate_zlib_compress_bound(compressor.get(), filtered.size());
  const size_t start = png.size();
  png.resize(start + kChunkOverhead + bound);
  const size_t compressed = libdeflate_zlib_compress(compressor.get(), filtered.data(), filtered.size(),
                                                     png.data() + start + 8, bound);
  if (compressed == 0 || compressed > kMaxChunkBytes) return absl::InternalError("PNG compression failed");
  FinishChunk("IDAT", compressed, png.data() + start);
  png.resize(start + kChunkOverhead + compressed);
  return absl::OkStatus();
}

// What libpng's callbacks share. Fixed-size, because the error callback leaves by longjmp.
struct DecodeState {
  const char* next = nullptr;
  size_t remaining = 0;
  char message[160] = "";

  void KeepFirstMessage(const char* text) {
    if (message[0] == '\0') std::snprintf(message, sizeof(message), "%s", text);
  }
};

void OnError(png_structp png, png_const_charp message) {
  static_cast<DecodeState*>(png_get_error_ptr(png))->KeepFirstMessage(message);
  png_longjmp(png, 1);
}

void OnWarning(png_structp png, png_const_charp message) {
  static_cast<DecodeState*>(png_get_error_ptr(png))->KeepFirstMessage(message);
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

// The two functions below are where libpng's longjmp lands. They own nothing that has a destructor.

// Reads up to the pixels and asks for 8-bit RGB. Returns the bytes of an output row, 0 after an error.
size_t ReadHeader(png_structp png, png_infop info, uint32_t width, uint32_t height) {
  if (setjmp(png_jmpbuf(png)) != 0) return 0;
  png_set_user_limits(png, width, height);
  png_set_chunk_cache_max(png, 16);
  png_set_chunk_malloc_max(png, 1 << 20);
  png_set_benign_errors(png, 0);
  png_set_crc_action(png, PNG_CRC_ERROR_QUIT, PNG_CRC_ERROR_QUIT);
  // Ancillary chunks (profiles, texts, EXIF, animation) are skipped unread: they change nothing here and are
  // where decompression bombs hide.
  png_set_keep_unknown_chunks(png, PNG_HANDLE_CHUNK_NEVER, nullptr, -1);
  png_read_info(png, info);
  png_set_palette_to_rgb(png);
  png_set_expand_gray_1_2_4_to_8(png);
  png_set_gray_to_rgb(png);
  png_set_strip_16(png);
  png_set_strip_alpha(png);
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

absl::Status DecodeError(const DecodeState& state) {
  return absl::InvalidArgumentError(absl::StrCat("PNG cannot be decoded: ", state.message));
}

struct Size {
  uint32_t width;
  uint32_t height;
};

// Looks at signature and IHDR only, so that a bomb costs nothing.
absl::StatusOr<Size> CheckHeader(std::string_view bytes, const DecodeLimits& limits) {
  if (bytes.size() > limits.max_encoded_bytes) {
    return absl::InvalidArgumentError(
        absl::StrCat("PNG of ", bytes.size(), " bytes is larger than ", limits.max_encoded_bytes));
  }
  if (bytes.size() < kSignature.size() ||
      std::memcmp(bytes.data(), kSignature.data(), kSignature.size()) != 0) {
    return absl::InvalidArgumentError("not a PNG");
  }
  const std::string_view header = bytes.substr(kSignature.size());
  if (header.size() < kChunkOverhead + kHeaderBytes || GetUint32(header.data()) != kHeaderBytes ||
      header.substr(4, 4) != "IHDR") {
    return absl::InvalidArgumentError("PNG cannot be decoded: no header");
  }
  const Size size = {GetUint32(header.data() + 8), GetUint32(header.data() + 12)};
  constexpr uint32_t kMaxSide = std::numeric_limits<int32_t>::max();
  if (size.width == 0 || size.height == 0 || size.width > kMaxSide || size.height > kMaxSide) {
    return absl::InvalidArgumentError("PNG cannot be decoded: impossible size");
  }
  if (uint64_t{size.width} * size.height > static_cast<uint64_t>(std::max<int64_t>(limits.max_pixels, 0))) {
    return absl::InvalidArgumentError(
        absl::StrCat("too many pixels: ", size.width, "x", size.height, " is more than ", limits.max_pixels));
  }
  return size;
}

}  // namespace

absl::StatusOr<std::string> EncodePng(const Image& image, const PngOptions& options) {
  RETURN_IF_ERROR(CheckImage(image));
  RETURN_IF_ERROR(CheckOptions(options));
  std::string png(kSignature.begin(), kSignature.end());
  AppendChunk("IHDR", HeaderData(image), png);
  for (const auto& [key, value] : options.text) {
    // After the key: no compression, its method, empty language tag, empty translated key.
    std::string data = key;
    data.append(5, '\0').append(value);
    AppendChunk("iTXt", data, png);
  }
  RETURN_IF_ERROR(AppendPixels(image, options.compression_level, png));
  AppendChunk("IEND", "", png);
  return png;
}

absl::StatusOr<Image> DecodePng(std::string_view bytes, const DecodeLimits& limits) {
  ASSIGN_OR_RETURN(const Size size, CheckHeader(bytes, limits));
  DecodeState state;
  state.next = bytes.data();
  state.remaining = bytes.size();
  const PngReader reader(&state);
  if (!reader.ok()) return absl::ResourceExhaustedError("no memory for the PNG decoder");
  const size_t row_bytes = ReadHeader(reader.png(), reader.info(), size.width, size.height);
  Image image{static_cast<int>(size.width), static_cast<int>(size.height), 3, {}};
  if (row_bytes == 0 || state.message[0] != '\0') return DecodeError(state);
  if (row_bytes != image.row_bytes()) return absl::InternalError("libpng did not produce RGB rows");

  image.pixels.resize(row_bytes * size.height);
  std::vector<png_bytep> rows(size.height);
  for (size_t y = 0; y < rows.size(); ++y) rows[y] = image.pixels.data() + y * row_bytes;
  if (!ReadPixels(reader.png(), rows.data()) || state.message[0] != '\0') return DecodeError(state);
  if (state.remaining != 0) {
    return absl::InvalidArgumentError("PNG cannot be decoded: bytes after the end of the picture");
  }
  return image;
}

}  // namespace kandinsky
