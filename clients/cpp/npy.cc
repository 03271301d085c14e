#include "clients/cpp/npy.h"

#include <cstdint>
#include <limits>
#include <optional>

#include "absl/strings/match.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "absl/strings/string_view.h"
#include "absl/strings/strip.h"

namespace kandinsky {
namespace {

constexpr char kMagic[] = "\x93NUMPY";
constexpr size_t kMagicBytes = 6;
constexpr size_t kAlignment = 64;   // of the data in the file
constexpr int kMaxDimensions = 32;  // of NumPy

absl::Status Invalid(absl::string_view what) {
  return absl::InvalidArgumentError(absl::StrCat("no .npy file of float32: ", what));
}

// Bytes of a tensor; unset when its shape is impossible or too large for any message.
std::optional<uint64_t> DataBytes(const v1::FloatTensor& tensor) {
  uint64_t values = 1;
  for (const int size : tensor.shape()) {
    if (size < 0) return std::nullopt;
    values *= static_cast<uint64_t>(size);
    if (values > std::numeric_limits<int32_t>::max()) return std::nullopt;
  }
  return 4 * values;
}

// Where a file has its header, the text of a Python dictionary, and its data.
struct Sections {
  absl::string_view header;
  absl::string_view data;
};

absl::StatusOr<Sections> Split(absl::string_view content) {
  const auto byte = [&](size_t i) { return static_cast<size_t>(static_cast<unsigned char>(content[i])); };
  if (content.size() < kMagicBytes + 4) return Invalid("it is too short");
  const size_t version = byte(kMagicBytes);
  if (version < 1 || version > 3) return Invalid("its format version is unknown");
  const size_t length_bytes = version == 1 ? 2 : 4;
  const size_t begin = kMagicBytes + 2 + length_bytes;
  if (content.size() < begin) return Invalid("it is too short");
  size_t length = 0;
  for (size_t i = 0; i < length_bytes; ++i) length |= byte(kMagicBytes + 2 + i) << (8 * i);
  if (content.size() - begin < length) return Invalid("it is too short");
  return Sections{.header = content.substr(begin, length), .data = content.substr(begin + length)};
}

// Reads the dictionary, as far as it describes an array of plain numbers.
class HeaderReader {
 public:
  explicit HeaderReader(absl::string_view text) : text_(text) {}

  // The shape.
  absl::StatusOr<v1::FloatTensor> Read() {
    if (!Take("{")) return Malformed();
    while (!Take("}")) {
      absl::string_view key;
      if (!TakeString(key) || !Take(":")) return Malformed();
      if (absl::Status status = ReadValue(key); !status.ok()) return status;
      if (!Take(",") && !absl::StartsWith(text_, "}")) return Malformed();
    }
    if (!Take("") || !text_.empty() || !has_type_ || !has_order_ || !has_shape_) return Malformed();
    return shape_;
  }

 private:
  static absl::Status Malformed() { return Invalid("its header is malformed"); }

  bool Take(absl::string_view token) {
    text_ = absl::StripLeadingAsciiWhitespace(text_);
    const bool taken = absl::ConsumePrefix(&text_, token);
    if (taken) text_ = absl::StripLeadingAsciiWhitespace(text_);
    return taken;
  }

  bool TakeString(absl::string_view& value) {
    if (!Take("'")) return false;
    const size_t end = text_.find('\'');
    if (end == absl::string_view::npos) return false;
    value = text_.substr(0, end);
    text_.remove_prefix(end + 1);
    return true;
  }

  absl::Status ReadValue(absl::string_view key) {
    if (key == "descr") {
      absl::string_view type;
      if (!TakeString(type) || type != "<f4") return Invalid("its values are of another type than '<f4'");
      has_type_ = true;
    } else if (key == "fortran_order") {
      if (Take("True")) return Invalid("it is in Fortran order");
      if (!Take("False")) return Malformed();
      has_order_ = true;
    } else if (key == "shape" && !has_shape_) {
      return ReadShape();
    } else {
      return Malformed();
    }
    return absl::OkStatus();
  }

  absl::Status ReadShape() {
    if (!Take("(")) return Malformed();
    while (!Take(")")) {
      const size_t end = text_.find_first_not_of("0123456789");
      int32_t size = 0;
      if (end == absl::string_view::npos || !absl::SimpleAtoi(text_.substr(0, end), &size))
        return Malformed();
      text_.remove_prefix(end);
      if (!Take(",") && !absl::StartsWith(text_, ")")) return Malformed();
      if (shape_.shape_size() == kMaxDimensions) return Malformed();
      shape_.add_shape(size);
    }
    has_shape_ = true;
    return absl::OkStatus();
  }

  absl::string_view text_;
  v1::FloatTensor shape_;
  bool has_type_ = false;
  bool has_order_ = false;
  bool has_shape_ = false;
};

}  // namespace

absl::StatusOr<std::string> ToNpy(const v1::FloatTensor& tensor) {
  if (DataBytes(tensor) != tensor.data().size()) {
    return absl::InvalidArgumentError(absl::StrCat("a tensor of shape [", absl::StrJoin(tensor.shape(), ", "),
                                                   "] has ", tensor.data().size(), " bytes"));
  }
  // Python writes a tuple of one as "(4,)".
  std::string header =
      absl::StrCat("{'descr': '<f4', 'fortran_order': False, 'shape': (", absl::StrJoin(tensor.shape(), ", "),
                   tensor.shape_size() == 1 ? "," : "", "), }");
  const size_t unpadded = kMagicBytes + 4 + header.size() + 1;
  header.append((kAlignment - unpadded % kAlignment) % kAlignment, ' ');
  header += '\n';
  std::string content(kMagic, kMagicBytes);
  content += {'\x01', '\x00', static_cast<char>(header.size() & 0xff), static_cast<char>(header.size() >> 8)};
  return content + header + tensor.data();
}

absl::StatusOr<v1::FloatTensor> ParseNpy(const std::string& content) {
  if (!IsNpy(content)) return Invalid("it begins otherwise");
  const absl::StatusOr<Sections> sections = Split(content);
  if (!sections.ok()) return sections.status();
  absl::StatusOr<v1::FloatTensor> tensor = HeaderReader(sections->header).Read();
  if (!tensor.ok()) return tensor;
  if (DataBytes(*tensor) != sections->data.size()) return Invalid("its data is not what its shape says");
  tensor->set_data(std::string(sections->data));
  return tensor;
}

bool IsNpy(const std::string& content) {
  return absl::StartsWith(content, absl::string_view(kMagic, kMagicBytes));
}

}  // namespace kandinsky
