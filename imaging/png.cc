#include "imaging/png.h"

#include <libdeflate.h>
#include <png.h>

#include <algorithm>
#include <array>
#include <cstring>
#include <limits>
#include <memory>
#include <string_view>

#include "absl/status/status.h"
#include "absl/strings/str_cat.h"
#include "base/status_macros.h"
#include "imaging/png_file.h"
#include "imaging/png_filter.h"

namespace kandinsky {
namespace {

constexpr std::array<uint8_t, 8> kSignature = {0x89, 'P', 'N', 'G', '\r', '\n', 0x1a, '\n'};
constexpr size_t kChunkOverhead = 12;  // length, type, CRC
constexpr size_t kHeaderBytes = 13;
constexpr size_t kMaxChunkBytes = std::numeric_limits<int32_t>::max();

void PutUint32(uint32_t value, char* out) {
  for (int i = 0; i < 4; ++i) out[i] = static_cast<char>(value >> (24 - 8 * i));
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

absl::Status AppendPixels(const Image& image, int compression_level, std::string& png) {
  const std::unique_ptr<libdeflate_compressor, decltype(&libdeflate_free_compressor)> compressor(
      libdeflate_alloc_compressor(compression_level), libdeflate_free_compressor);
  if (compressor == nullptr) return absl::ResourceExhaustedError("no memory for the PNG compressor");
  const std::vector<uint8_t> filtered = FilterPngRows(image);
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

}  // namespace kandinsky
