#include "imaging/png_file.h"

#include <libdeflate.h>

#include <algorithm>
#include <limits>

#include "base/status_macros.h"
#include "imaging/encoded_header.h"
#include "imaging/orientation.h"
#include "imaging/png_text.h"

namespace kandinsky {
namespace {

constexpr std::string_view kSignature("\x89PNG\r\n\x1a\n", 8);
constexpr size_t kChunkHeaderBytes = 8;  // length, type
constexpr size_t kChecksumBytes = 4;
constexpr size_t kHeaderBytes = 13;
constexpr int kGray = 0;
constexpr int kRgb = 2;
constexpr int kPalette = 3;

uint32_t GetUint32(std::string_view bytes, size_t at) {
  uint32_t value = 0;
  for (size_t i = 0; i < 4; ++i) value = value << 8 | static_cast<uint8_t>(bytes[at + i]);
  return value;
}

void AppendUint32(size_t value, std::string& out) {
  for (int shift = 24; shift >= 0; shift -= 8) out.push_back(static_cast<char>(value >> shift));
}

void AppendChunk(std::string_view type, std::string_view data, std::string& out) {
  AppendUint32(data.size(), out);
  out.append(type).append(data).append(kChecksumBytes, '\0');
}

absl::Status Damaged() { return CannotDecode("PNG", "damaged or truncated"); }

struct Chunk {
  std::string_view type;
  std::string_view data;
  size_t declared_bytes = 0;
  size_t end = 0;  // where the next begins; beyond the file's end when this one is cut off

  bool complete() const { return data.size() == declared_bytes; }
};

bool IsNameOfChunk(std::string_view type) {
  return type.size() == 4 && std::all_of(type.begin(), type.end(), [](char c) {
           return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '_';
         });
}

// Gives false at what is no chunk.
bool ReadChunk(std::string_view bytes, size_t at, Chunk& chunk) {
  if (at > bytes.size() || bytes.size() - at < kChunkHeaderBytes) return false;
  chunk.type = bytes.substr(at + 4, 4);
  chunk.declared_bytes = GetUint32(bytes, at);
  chunk.data = bytes.substr(at + kChunkHeaderBytes, chunk.declared_bytes);
  chunk.end = at + kChunkHeaderBytes + chunk.declared_bytes + kChecksumBytes;
  return IsNameOfChunk(chunk.type);
}

bool HasRightChecksum(std::string_view bytes, const Chunk& chunk) {
  if (chunk.end > bytes.size()) return false;
  const uint32_t sum = libdeflate_crc32(0, chunk.type.data(), chunk.type.size() + chunk.data.size());
  return sum == GetUint32(bytes, chunk.end - kChecksumBytes);
}

absl::Status ReadImageHeader(std::string_view data, PngFile& file) {
  if (data.size() < kHeaderBytes) return Damaged();
  const uint32_t width = GetUint32(data, 0);
  const uint32_t height = GetUint32(data, 4);
  constexpr uint32_t kMaxSide = std::numeric_limits<int32_t>::max();
  if (width == 0 || height == 0 || width > kMaxSide || height > kMaxSide) {
    return CannotDecode("PNG", "impossible size");
  }
  file.width = static_cast<int>(width);
  file.height = static_cast<int>(height);
  file.bit_depth = static_cast<uint8_t>(data[8]);
  file.color_type = static_cast<uint8_t>(data[9]);
  if (data[11] != 0) return CannotDecode("PNG", "unknown filters");
  file.interlaced = data[12] != 0;
  return absl::OkStatus();
}

// Where the metadata are that may tell the orientation.
struct Metadata {
  std::string_view exif;
  PngTextChunk raw_profile;
  PngTextChunk xmp;
};

void NoteMetadata(const Chunk& chunk, Metadata& metadata) {
  if (chunk.type == "eXIf") metadata.exif = chunk.data;
  const std::string_view key = PngTextKey(chunk.type, chunk.data);
  if (key == "exif" && chunk.type == "tEXt") metadata.exif = chunk.data.substr(key.size() + 1);
  if (key == "Raw profile type exif") metadata.raw_profile = {chunk.type, chunk.data};
  if (key == "XML:com.adobe.xmp") metadata.xmp = {chunk.type, chunk.data};
}

int OrientationOf(const Metadata& metadata) {
  std::string exif(metadata.exif);
  if (metadata.exif.data() == nullptr) exif = ParseRawProfile(PngTextValue(metadata.raw_profile));
  return ReadOrientation(exif, PngTextValue(metadata.xmp));
}

// What the chunks before the pixels say of an animation.
struct Animation {
  uint32_t frames = 0;          // announced
  bool begins_with_it = false;  // the image is the first of them

  bool has_more_frames() const { return frames > (begins_with_it ? 1U : 0U); }
};

void NoteAnimation(const Chunk& chunk, Animation& animation) {
  constexpr uint32_t kMostFrames = uint32_t{1} << 31;
  if (chunk.type == "fcTL") animation.begins_with_it = true;
  if (chunk.type != "acTL" || chunk.data.size() < 8) return;
  const uint32_t frames = GetUint32(chunk.data, 0);
  // A second announcement undoes the first.
  animation.frames = animation.frames == 0 && frames <= kMostFrames ? frames : 0;
}

// Walks up to the first IDAT chunk and gives where that is.
absl::StatusOr<size_t> ReadChunksBeforePixels(std::string_view bytes, PngFile& file, Metadata& metadata,
                                              Animation& animation) {
  size_t at = kSignature.size();
  Chunk chunk;
  while (ReadChunk(bytes, at, chunk) && chunk.type != "IDAT" && chunk.type != "IEND") {
    if (!chunk.complete() || !HasRightChecksum(bytes, chunk)) return Damaged();
    if (chunk.type == "IHDR") RETURN_IF_ERROR(ReadImageHeader(chunk.data, file));
    if (chunk.type == "PLTE") file.palette = chunk.data;
    if (chunk.type == "tRNS") file.transparency = chunk.data;
    NoteMetadata(chunk, metadata);
    NoteAnimation(chunk, animation);
    at = chunk.end;
  }
  if (file.width == 0) return CannotDecode("PNG", "no header");
  return at;
}

// The run of IDAT chunks at `at`; gives where it ends.
size_t ReadPixelChunks(std::string_view bytes, size_t at, PngFile& file) {
  const size_t begin = at;
  Chunk chunk;
  while (ReadChunk(bytes, at, chunk) && chunk.type == "IDAT") {
    if (chunk.end > bytes.size()) {
      file.cut_pixels = chunk.data;
      file.pixel_chunks = bytes.substr(begin, at - begin);
      return bytes.size();
    }
    at = chunk.end;
  }
  file.pixel_chunks = bytes.substr(begin, at - begin);
  return at;
}

absl::Status ReadChunksAfterPixels(std::string_view bytes, size_t at, const Animation& animation,
                                   Metadata& metadata) {
  Chunk chunk;
  for (; ReadChunk(bytes, at, chunk) && chunk.type != "IEND"; at = chunk.end) {
    // From there on the file is of the next frame, of which nothing is needed.
    if (chunk.type == "fcTL" && animation.has_more_frames()) break;
    if (!chunk.complete()) return Damaged();
    NoteMetadata(chunk, metadata);
  }
  return absl::OkStatus();
}

// Drops what does not belong to the color type, and colors that no pixel can have.
absl::Status FitToColorType(PngFile& file) {
  constexpr size_t kMostColors = 256;
  if (file.color_type == kPalette && file.palette.size() / 3 > kMostColors) return Damaged();
  const size_t colors = file.color_type == kPalette && file.bit_depth <= 8 ? size_t{1} << file.bit_depth : 0;
  file.palette = file.palette.substr(0, 3 * std::min(colors, file.palette.size() / 3));
  if (file.transparency.data() == nullptr) return absl::OkStatus();
  size_t bytes = 0;
  if (file.color_type == kGray || file.color_type == kRgb) bytes = file.color_type == kGray ? 2 : 6;
  if (file.transparency.size() < bytes) return Damaged();
  if (file.color_type == kPalette) bytes = std::min(file.palette.size() / 3, file.transparency.size());
  file.transparency = file.transparency.substr(0, bytes);
  return absl::OkStatus();
}

}  // namespace

bool HasPngSignature(std::string_view bytes) { return bytes.starts_with(kSignature); }

absl::StatusOr<PngFile> ReadPngFile(std::string_view bytes) {
  PngFile file;
  Metadata metadata;
  Animation animation;
  ASSIGN_OR_RETURN(const size_t pixels, ReadChunksBeforePixels(bytes, file, metadata, animation));
  RETURN_IF_ERROR(FitToColorType(file));
  const size_t end = ReadPixelChunks(bytes, pixels, file);
  RETURN_IF_ERROR(ReadChunksAfterPixels(bytes, end, animation, metadata));
  file.orientation = OrientationOf(metadata);
  return file;
}

std::string PngHead(const PngFile& file) {
  std::string header;
  AppendUint32(static_cast<size_t>(file.width), header);
  AppendUint32(static_cast<size_t>(file.height), header);
  for (const int field : {file.bit_depth, file.color_type, 0, 0, file.interlaced ? 1 : 0}) {
    header.push_back(static_cast<char>(field));
  }
  std::string head(kSignature);
  AppendChunk("IHDR", header, head);
  if (!file.palette.empty()) AppendChunk("PLTE", file.palette, head);
  if (!file.transparency.empty()) AppendChunk("tRNS", file.transparency, head);
  return head;
}

std::string PixelChunkHeader(size_t length) {
  std::string header;
  AppendUint32(length, header);
  return header.append("IDAT");
}

}  // namespace kandinsky
