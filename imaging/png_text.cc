#include "imaging/png_text.h"

#include <libdeflate.h>

#include <memory>

#include "absl/strings/ascii.h"
#include "absl/strings/escaping.h"

namespace kandinsky {
namespace {

constexpr size_t kMaxTextBytes = 1 << 20;

std::string Inflate(std::string_view compressed) {
  const std::unique_ptr<libdeflate_decompressor, decltype(&libdeflate_free_decompressor)> decompressor(
      libdeflate_alloc_decompressor(), libdeflate_free_decompressor);
  if (decompressor == nullptr) return "";
  std::string text(kMaxTextBytes, '\0');
  size_t size = 0;
  const libdeflate_result result = libdeflate_zlib_decompress(
      decompressor.get(), compressed.data(), compressed.size(), text.data(), text.size(), &size);
  text.resize(result == LIBDEFLATE_SUCCESS ? size : 0);
  return text;
}

// Cuts off what is before the first NUL, and the NUL; everything without one.
void SkipField(std::string_view& data) {
  const size_t end = data.find('\0');
  data.remove_prefix(end == std::string_view::npos ? data.size() : end + 1);
}

}  // namespace

std::string_view PngTextKey(std::string_view type, std::string_view data) {
  if (type != "tEXt" && type != "zTXt" && type != "iTXt") return {};
  const size_t end = data.find('\0');
  return end == std::string_view::npos ? std::string_view() : data.substr(0, end);
}

std::string PngTextValue(const PngTextChunk& chunk) {
  std::string_view data = chunk.data;
  SkipField(data);
  if (chunk.type == "tEXt") return std::string(data);
  if (chunk.type == "zTXt") {
    if (!data.starts_with('\0')) return "";  // the only compression method
    return Inflate(data.substr(1));
  }
  if (data.size() < 2) return "";
  const bool compressed = data[0] != 0;
  if (compressed && data[1] != 0) return "";
  data.remove_prefix(2);
  SkipField(data);  // language
  SkipField(data);  // translated key
  return compressed ? Inflate(data) : std::string(data);
}

std::string ParseRawProfile(std::string_view text) {
  for (int line = 0; line < 3; ++line) {
    const size_t end = text.find('\n');
    if (end == std::string_view::npos) return "";
    text.remove_prefix(end + 1);
  }
  std::string digits;
  for (const char c : text) {
    if (absl::ascii_isspace(static_cast<unsigned char>(c))) continue;
    if (!absl::ascii_isxdigit(static_cast<unsigned char>(c))) return "";
    digits.push_back(c);
  }
  if (digits.size() % 2 != 0) return "";
  return absl::HexStringToBytes(digits);
}

}  // namespace kandinsky
