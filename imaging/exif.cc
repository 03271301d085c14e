#include "imaging/exif.h"

#include <cstddef>
#include <cstdint>

namespace kandinsky {
namespace {

constexpr std::string_view kPrefix("Exif\0\0", 6);
constexpr size_t kEntryBytes = 12;  // tag, type, count, value
constexpr uint32_t kOrientationTag = 0x0112;
constexpr uint32_t kShort = 3;
constexpr uint32_t kLong = 4;

// Numbers of a TIFF structure in its byte order. Reads past the end give 0.
class TiffNumbers {
 public:
  TiffNumbers(std::string_view bytes, bool little_endian) : bytes_(bytes), little_endian_(little_endian) {}

  uint32_t Short(size_t at) const { return Number(at, 2); }
  uint32_t Long(size_t at) const { return Number(at, 4); }

 private:
  uint32_t Number(size_t at, size_t size) const {
    if (at > bytes_.size() || size > bytes_.size() - at) return 0;
    uint32_t value = 0;
    for (size_t i = 0; i < size; ++i) {
      value = value << 8 | static_cast<uint8_t>(bytes_[little_endian_ ? at + size - 1 - i : at + i]);
    }
    return value;
  }

  std::string_view bytes_;
  bool little_endian_;
};

}  // namespace

int ReadExifOrientation(std::string_view exif) {
  if (exif.substr(0, kPrefix.size()) == kPrefix) exif.remove_prefix(kPrefix.size());
  const std::string_view mark = exif.substr(0, 2);
  if (mark != "II" && mark != "MM") return 1;
  const TiffNumbers numbers(exif, mark == "II");
  if (numbers.Short(2) != 42) return 1;
  const size_t directory = numbers.Long(4);
  const size_t entries = numbers.Short(directory);
  for (size_t i = 0; i < entries; ++i) {
    const size_t entry = directory + 2 + i * kEntryBytes;
    if (entry + kEntryBytes > exif.size()) return 1;
    if (numbers.Short(entry) != kOrientationTag) continue;
    const uint32_t type = numbers.Short(entry + 2);
    if (numbers.Long(entry + 4) != 1 || (type != kShort && type != kLong)) return 1;
    const uint32_t value = type == kShort ? numbers.Short(entry + 8) : numbers.Long(entry + 8);
    return value >= 1 && value <= 8 ? static_cast<int>(value) : 1;
  }
  return 1;
}

}  // namespace kandinsky
