#include "clients/cpp/npy.h"

#include <array>
#include <cmath>
#include <cstdint>
#include <limits>
#include <optional>
#include <utility>
#include <vector>

#include "absl/base/casts.h"
#include "absl/strings/escaping.h"
#include "absl/strings/match.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "absl/strings/string_view.h"
#include "absl/strings/strip.h"

namespace kandinsky::client {
namespace {

constexpr char kMagic[] = "\x93NUMPY";
constexpr size_t kMagicBytes = 6;
constexpr size_t kAlignment = 64;   // of the data in the file
constexpr int kMaxDimensions = 32;  // of NumPy

absl::Status Invalid(absl::string_view what) {
  return absl::InvalidArgumentError(absl::StrCat("no .npy file of floats: ", what));
}

// How the values lie in the data.
struct Layout {
  size_t value_bytes = 0;  // 2, 4 or 8
  bool big_endian = false;
  bool first_dimension_fastest = false;  // Fortran's order
};

// Values of a tensor; unset when its shape is impossible or too large for any message.
std::optional<uint64_t> ValueCount(const v1::FloatTensor& tensor) {
  uint64_t values = 1;
  for (const int size : tensor.shape()) {
    if (size < 0) return std::nullopt;
    values *= static_cast<uint64_t>(size);
    if (values > std::numeric_limits<int32_t>::max()) return std::nullopt;
  }
  return values;
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

  // The shape; what it says of the values goes to `layout`.
  absl::StatusOr<v1::FloatTensor> Read(Layout& layout) {
    if (!Take("{")) return Malformed();
    while (!Take("}")) {
      absl::string_view key;
      if (!TakeString(key) || !Take(":")) return Malformed();
      if (absl::Status status = ReadValue(key); !status.ok()) return status;
      if (!Take(",") && !absl::StartsWith(text_, "}")) return Malformed();
    }
    if (!Take("") || !text_.empty() || layout_.value_bytes == 0 || !has_order_ || !has_shape_)
      return Malformed();
    layout = layout_;
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
      return ReadType();
    } else if (key == "fortran_order") {
      layout_.first_dimension_fastest = Take("True");
      if (!layout_.first_dimension_fastest && !Take("False")) return Malformed();
      has_order_ = true;
    } else if (key == "shape" && !has_shape_) {
      return ReadShape();
    } else {
      return Malformed();
    }
    return absl::OkStatus();
  }

  absl::Status ReadType() {
    absl::string_view type;
    const bool plain = TakeString(type);
    for (const auto& [name, bytes] : {std::pair("f2", 2), {"f4", 4}, {"f8", 8}}) {
      if (type.size() == 3 && absl::StrContains("<>=", type.substr(0, 1)) && type.substr(1) == name) {
        layout_.value_bytes = static_cast<size_t>(bytes);
        layout_.big_endian = type[0] == '>';
        return absl::OkStatus();
      }
    }
    return Invalid(
        absl::StrCat("its values are of type ", plain ? absl::CHexEscape(type) : "record",
                     ", expected f4 (float32), f2 or f8; numpy's astype(\"float32\") converts them"));
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
  Layout layout_;
  bool has_order_ = false;
  bool has_shape_ = false;
};

float FromHalf(uint16_t bits) {
  const int exponent = (bits >> 10) & 0x1f;
  const int fraction = bits & 0x3ff;
  double value = std::ldexp(fraction, -24);  // below the normal ones
  if (exponent == 0x1f) {
    value =
        fraction == 0 ? std::numeric_limits<double>::infinity() : std::numeric_limits<double>::quiet_NaN();
  } else if (exponent > 0) {
    value = std::ldexp(fraction + 0x400, exponent - 25);
  }
  return static_cast<float>((bits & 0x8000) != 0 ? -value : value);
}

double FromBytes(absl::string_view bytes, bool big_endian) {
  uint64_t bits = 0;
  for (size_t i = 0; i < bytes.size(); ++i) {
    const size_t place = big_endian ? bytes.size() - 1 - i : i;
    bits |= uint64_t{static_cast<unsigned char>(bytes[i])} << (8 * place);
  }
  if (bytes.size() == 2) return FromHalf(static_cast<uint16_t>(bits));
  if (bytes.size() == 4) return absl::bit_cast<float>(static_cast<uint32_t>(bits));
  return absl::bit_cast<double>(bits);
}

// Where each value lies, one after the other as C orders them.
class Positions {
 public:
  Positions(const v1::FloatTensor& tensor, bool first_fastest)
      : shape_(tensor.shape().begin(), tensor.shape().end()) {
    size_t stride = 1;
    strides_.resize(shape_.size());
    for (size_t i = 0; i < shape_.size(); ++i) {
      const size_t dimension = first_fastest ? i : shape_.size() - 1 - i;
      strides_[dimension] = stride;
      stride *= static_cast<size_t>(shape_[dimension]);
    }
    index_.resize(shape_.size());
  }

  // The position of this value; then goes to the next.
  size_t Next() {
    const size_t position = position_;
    for (size_t i = shape_.size(); i-- > 0;) {
      position_ += strides_[i];
      if (++index_[i] < shape_[i]) break;
      position_ -= strides_[i] * static_cast<size_t>(shape_[i]);
      index_[i] = 0;
    }
    return position;
  }

 private:
  const std::vector<int> shape_;
  std::vector<size_t> strides_;
  std::vector<int> index_;
  size_t position_ = 0;
};

// Sets the data of `tensor`, which has its shape, from that of a file.
absl::Status SetData(absl::string_view data, const Layout& layout, v1::FloatTensor& tensor) {
  const size_t count = data.size() / layout.value_bytes;
  if (layout.value_bytes == 4 && !layout.big_endian && !layout.first_dimension_fastest) {
    tensor.set_data(std::string(data));
    return absl::OkStatus();
  }
  tensor.mutable_data()->reserve(4 * count);
  Positions positions(tensor, layout.first_dimension_fastest);
  for (size_t i = 0; i < count; ++i) {
    const size_t begin = positions.Next() * layout.value_bytes;
    const double value = FromBytes(data.substr(begin, layout.value_bytes), layout.big_endian);
    const float rounded = static_cast<float>(value);
    if (std::isfinite(value) && !std::isfinite(rounded)) {
      return Invalid(absl::StrCat("value ", i, " is ", value, ", more than float32 can hold"));
    }
    const auto bits = absl::bit_cast<std::array<char, 4>>(rounded);
    tensor.mutable_data()->append(bits.data(), bits.size());
  }
  return absl::OkStatus();
}

// What a file is that is none of NumPy's, as far as its beginning tells.
absl::string_view OtherKind(const std::string& content) {
  if (absl::StartsWith(content, "PK"))
    return "it is a zip archive, as .npz and .pt files are; save one array with numpy.save";
  if (absl::StartsWith(content, "{") || absl::StartsWith(content, "[")) return "it looks like JSON";
  return "it begins otherwise";
}

}  // namespace

absl::StatusOr<std::string> ToNpy(const v1::FloatTensor& tensor) {
  const std::optional<uint64_t> count = ValueCount(tensor);
  if (!count || 4 * *count != tensor.data().size()) {
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
  if (!IsNpy(content)) return Invalid(OtherKind(content));
  const absl::StatusOr<Sections> sections = Split(content);
  if (!sections.ok()) return sections.status();
  Layout layout;
  absl::StatusOr<v1::FloatTensor> tensor = HeaderReader(sections->header).Read(layout);
  if (!tensor.ok()) return tensor;
  const std::optional<uint64_t> count = ValueCount(*tensor);
  if (!count || layout.value_bytes * *count != sections->data.size()) {
    return Invalid(absl::StrCat("its data has ", sections->data.size(),
                                " bytes, which is not what its shape [", absl::StrJoin(tensor->shape(), ", "),
                                "] says"));
  }
  if (absl::Status status = SetData(sections->data, layout, *tensor); !status.ok()) return status;
  return tensor;
}

bool IsNpy(const std::string& content) {
  return absl::StartsWith(content, absl::string_view(kMagic, kMagicBytes));
}

}  // namespace kandinsky::client
