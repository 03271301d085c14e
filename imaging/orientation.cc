#include "imaging/orientation.h"

#include <bit>
#include <cmath>
#include <cstddef>
#include <cstdint>

namespace kandinsky {
namespace {

constexpr std::string_view kPrefix("Exif\0\0", 6);
constexpr int kMostPrefixes = 2;    // some writers of WebP and PNG put it before a block that has it
constexpr size_t kEntryBytes = 12;  // tag, type, count, value or where it is
constexpr uint64_t kOrientationTag = 0x0112;

// The types of TIFF 6.0 (section 2), and two later ones.
enum Type : uint64_t {
  kByte = 1,
  kAscii = 2,
  kShort = 3,
  kLong = 4,
  kRational = 5,
  kSignedByte = 6,
  kUndefined = 7,
  kSignedShort = 8,
  kSignedLong = 9,
  kSignedRational = 10,
  kFloat = 11,
  kDouble = 12,
  kDirectory = 13,
  kLong8 = 16,
};

// 0 for unknown types.
uint64_t BytesOf(uint64_t type) {
  switch (type) {
    case kByte:
    case kAscii:
    case kSignedByte:
    case kUndefined:
      return 1;
    case kShort:
    case kSignedShort:
      return 2;
    case kLong:
    case kSignedLong:
    case kFloat:
    case kDirectory:
      return 4;
    case kRational:
    case kSignedRational:
    case kDouble:
    case kLong8:
      return 8;
    default:
      return 0;
  }
}

// Numbers of a TIFF structure in its byte order. Reads past the end give 0.
class TiffNumbers {
 public:
  TiffNumbers(std::string_view bytes, bool little_endian) : bytes_(bytes), little_endian_(little_endian) {}

  uint64_t Read(size_t at, size_t size) const {
    if (at > bytes_.size() || size > bytes_.size() - at) return 0;
    uint64_t value = 0;
    for (size_t i = 0; i < size; ++i) {
      value = value << 8 | static_cast<uint8_t>(bytes_[little_endian_ ? at + size - 1 - i : at + i]);
    }
    return value;
  }

  bool Has(size_t at, size_t size) const { return at <= bytes_.size() && size <= bytes_.size() - at; }

 private:
  std::string_view bytes_;
  bool little_endian_;
};

// Negative numbers are large ones here, and texts 0: none is an orientation.
double Number(const TiffNumbers& numbers, uint64_t type, size_t at) {
  switch (type) {
    case kByte:
    case kAscii:
    case kUndefined:
      return 0;
    case kRational:
    case kSignedRational:
      return static_cast<double>(numbers.Read(at, 4)) / static_cast<double>(numbers.Read(at + 4, 4));
    case kFloat:
      return std::bit_cast<float>(static_cast<uint32_t>(numbers.Read(at, 4)));
    case kDouble:
      return std::bit_cast<double>(numbers.Read(at, 8));
    default:
      return static_cast<double>(numbers.Read(at, BytesOf(type)));
  }
}

}  // namespace

int ReadOrientation(std::string_view exif, std::string_view xmp) {
  std::optional<int> orientation = ReadExifOrientation(exif);
  if (!orientation.has_value()) orientation = ReadXmpOrientation(xmp);
  const int value = orientation.value_or(1);
  return value >= 1 && value <= 8 ? value : 1;
}

std::optional<int> ReadExifOrientation(std::string_view exif) {
  for (int i = 0; i < kMostPrefixes && exif.starts_with(kPrefix); ++i) exif.remove_prefix(kPrefix.size());
  const std::string_view mark = exif.substr(0, 2);
  if (mark != "II" && mark != "MM") return std::nullopt;
  const TiffNumbers numbers(exif, mark == "II");
  // Some writers forget that the mark, too, is in the file's byte order.
  if (numbers.Read(2, 2) != 0x002A && numbers.Read(2, 2) != 0x2A00) return std::nullopt;
  const size_t directory = numbers.Read(4, 4);
  const size_t entries = numbers.Read(directory, 2);
  for (size_t i = 0; i < entries; ++i) {
    const size_t entry = directory + 2 + i * kEntryBytes;
    if (!numbers.Has(entry, kEntryBytes)) break;
    if (numbers.Read(entry, 2) != kOrientationTag) continue;
    const uint64_t type = numbers.Read(entry + 2, 2);
    const uint64_t size = BytesOf(type) * numbers.Read(entry + 4, 4);
    const size_t at = size <= 4 ? entry + 8 : numbers.Read(entry + 8, 4);
    if (size == 0 || !numbers.Has(at, size)) continue;
    const double value = Number(numbers, type, at);
    return value >= 1 && value <= 8 && value == std::floor(value) ? static_cast<int>(value) : 0;
  }
  return std::nullopt;
}

std::optional<int> ReadXmpOrientation(std::string_view xmp) {
  constexpr std::string_view kName = "tiff:Orientation";
  for (size_t at = xmp.find(kName); at != std::string_view::npos; at = xmp.find(kName, at)) {
    at += kName.size();
    std::string_view rest = xmp.substr(at);
    if (rest.starts_with("=\"")) {
      rest.remove_prefix(2);
    } else if (rest.starts_with('>')) {
      rest.remove_prefix(1);
    } else {
      continue;
    }
    if (!rest.empty() && rest.front() >= '0' && rest.front() <= '9') return rest.front() - '0';
  }
  return std::nullopt;
}

}  // namespace kandinsky
