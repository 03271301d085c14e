#include "pipeline/weights/safetensors_header.h"

#include <algorithm>
#include <cstring>
#include <nlohmann/json.hpp>
#include <set>
#include <unordered_set>
#include <utility>

#include "absl/status/status.h"
#include "absl/strings/escaping.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"

namespace kandinsky {
namespace {

constexpr size_t kLengthBytes = 8;
constexpr size_t kMaxDimensions = 8;
constexpr char kMetadataKey[] = "__metadata__";

struct DtypeInfo {
  SafetensorsDtype dtype;
  absl::string_view name;
  size_t bytes;
};
constexpr DtypeInfo kDtypes[] = {
    {SafetensorsDtype::kF64, "F64", 8}, {SafetensorsDtype::kF32, "F32", 4},
    {SafetensorsDtype::kF16, "F16", 2}, {SafetensorsDtype::kBF16, "BF16", 2},
    {SafetensorsDtype::kI64, "I64", 8}, {SafetensorsDtype::kI32, "I32", 4},
    {SafetensorsDtype::kI16, "I16", 2}, {SafetensorsDtype::kI8, "I8", 1},
    {SafetensorsDtype::kU8, "U8", 1},   {SafetensorsDtype::kBool, "BOOL", 1},
};

const DtypeInfo& InfoOf(SafetensorsDtype dtype) { return kDtypes[static_cast<size_t>(dtype)]; }

// A name from the file, safe to print.
std::string Quote(absl::string_view name) {
  return absl::StrCat("\"", absl::CHexEscape(name.substr(0, 200)), "\"");
}

// Builds entries while nlohmann's parser walks the header. Never a DOM: the bytes are not trusted, and a DOM
// would merge duplicates and nest without bound. Any `false` ends the walk.
class HeaderHandler : public nlohmann::json_sax<nlohmann::json> {
 public:
  explicit HeaderHandler(SafetensorsHeader& header) : header_(header) {}

  const std::string& error() const { return error_; }

  bool null() override { return WrongType(); }
  bool boolean(bool) override { return WrongType(); }
  bool number_integer(number_integer_t) override { return Fail("a negative number"); }
  bool number_float(number_float_t, const string_t&) override {
    return Fail("a number that is no 64-bit integer");
  }
  bool binary(binary_t&) override { return WrongType(); }

  bool number_unsigned(number_unsigned_t value) override {
    if (place_ != Place::kShape && place_ != Place::kOffsets) return WrongType();
    if (numbers_.size() == kMaxDimensions)
      return Fail(absl::StrCat("more than ", kMaxDimensions, " numbers"));
    numbers_.push_back(value);
    return true;
  }

  bool string(string_t& value) override {
    if (place_ == Place::kMetadata) {
      header_.metadata[field_] = value;
      return true;
    }
    if (place_ != Place::kTensor || field_ != "dtype") return WrongType();
    for (const DtypeInfo& info : kDtypes) {
      if (info.name == value) {
        entry_.dtype = info.dtype;
        return true;
      }
    }
    return Fail(absl::StrCat("unknown dtype ", Quote(value)));
  }

  bool start_object(size_t) override {
    if (place_ == Place::kStart) {
      place_ = Place::kTop;
      return true;
    }
    if (place_ != Place::kTop) return WrongType();
    place_ = name_ == kMetadataKey ? Place::kMetadata : Place::kTensor;
    entry_ = {};
    fields_.clear();
    return true;
  }

  bool key(string_t& key) override {
    if (place_ == Place::kTop) {
      name_ = key;
      field_.clear();
      return names_.insert(key).second ? true : Fail("appears twice");
    }
    field_ = key;
    if (place_ == Place::kTensor && key != "dtype" && key != "shape" && key != "data_offsets") {
      return Fail("unknown key");
    }
    return fields_.insert(key).second ? true : Fail("key appears twice");
  }

  bool end_object() override {
    if (place_ == Place::kTop) {
      place_ = Place::kEnd;
      return true;
    }
    const bool is_tensor = place_ == Place::kTensor;
    place_ = Place::kTop;
    field_.clear();
    if (!is_tensor) return true;
    if (fields_.size() != 3) return Fail("dtype, shape or data_offsets is missing");
    entry_.name = name_;
    header_.entries.push_back(std::move(entry_));
    return true;
  }

  bool start_array(size_t) override {
    if (place_ != Place::kTensor || field_ == "dtype") return WrongType();
    place_ = field_ == "shape" ? Place::kShape : Place::kOffsets;
    numbers_.clear();
    return true;
  }

  bool end_array() override {
    if (place_ == Place::kShape) {
      for (const uint64_t size : numbers_) {
        if (size > static_cast<uint64_t>(INT64_MAX)) return Fail("a size is beyond 63 bits");
        entry_.shape.push_back(static_cast<int64_t>(size));
      }
    } else {
      if (numbers_.size() != 2) return Fail("not two offsets");
      entry_.begin = numbers_[0];
      entry_.end = numbers_[1];
    }
    place_ = Place::kTensor;
    return true;
  }

  bool parse_error(size_t position, const std::string&, const nlohmann::json::exception&) override {
    error_ = absl::StrCat("header is not valid JSON at byte ", kLengthBytes + position);
    return false;
  }

 private:
  // kStart -> kTop -> (kMetadata | kTensor -> (kShape | kOffsets) -> kTensor) -> kTop -> kEnd
  enum class Place { kStart, kTop, kMetadata, kTensor, kShape, kOffsets, kEnd };

  bool WrongType() { return Fail("a value of the wrong type"); }
  bool Fail(const std::string& what) {
    error_ = "header";
    if (!name_.empty()) absl::StrAppend(&error_, ", tensor ", Quote(name_));
    if (!field_.empty()) absl::StrAppend(&error_, ", ", Quote(field_));
    absl::StrAppend(&error_, ": ", what);
    return false;
  }

  SafetensorsHeader& header_;
  Place place_ = Place::kStart;
  std::string name_;   // of the tensor
  std::string field_;  // key inside it
  SafetensorsEntry entry_;
  std::set<std::string> fields_;           // keys seen inside it
  std::unordered_set<std::string> names_;  // tensors seen
  std::vector<uint64_t> numbers_;
  std::string error_;
};

// The bytes that dtype and shape need; false when they do not fit 63 bits.
bool BytesNeeded(const SafetensorsEntry& entry, size_t& bytes) {
  int64_t product = static_cast<int64_t>(InfoOf(entry.dtype).bytes);
  for (const int64_t size : entry.shape) {
    if (__builtin_mul_overflow(product, size, &product)) return false;
  }
  bytes = static_cast<size_t>(product);
  return true;
}

// Empty when the entries cover the data exactly, else what is wrong.
std::string CheckLayout(const SafetensorsHeader& header, size_t data_bytes) {
  size_t covered = 0;
  for (const SafetensorsEntry& entry : header.entries) {
    const auto wrong = [&entry](absl::string_view what) {
      return absl::StrCat("tensor ", Quote(entry.name), ": ", what);
    };
    if (entry.end < entry.begin || entry.end > data_bytes) {
      return wrong(absl::StrCat("invalid offsets ", entry.begin, "..", entry.end, " in ", data_bytes,
                                " bytes of data"));
    }
    if (entry.begin != covered) {
      return wrong(absl::StrCat("invalid offset ", entry.begin, ", the tensor before it ends at ", covered));
    }
    size_t needed = 0;
    if (!BytesNeeded(entry, needed)) return wrong("shape overflows");
    if (needed != entry.end - entry.begin) {
      return wrong(absl::StrCat("dtype and shape need ", needed, " bytes, the offsets give ",
                                entry.end - entry.begin));
    }
    covered = entry.end;
  }
  if (covered == data_bytes) return "";
  return absl::StrCat("buffer not fully covered: the tensors end at ", covered, " of ", data_bytes, " bytes");
}

// Splits off the header's JSON; otherwise says what is wrong with the length field.
std::string FindHeaderText(absl::Span<const std::byte> file, absl::string_view& text) {
  if (file.size() < kLengthBytes) {
    return absl::StrCat("header too small: the file has ", file.size(), " bytes");
  }
  uint64_t length = 0;
  for (size_t i = kLengthBytes; i-- > 0;) length = length << 8 | std::to_integer<uint64_t>(file[i]);
  if (length > kMaxSafetensorsHeaderBytes) return absl::StrCat("header too large: ", length, " bytes");
  if (length > file.size() - kLengthBytes) {
    return absl::StrCat("invalid header length: ", length, " bytes in a file of ", file.size());
  }
  text = {reinterpret_cast<const char*>(file.data()) + kLengthBytes, static_cast<size_t>(length)};
  if (text.empty() || text.front() != '{') return "header does not start with {";
  // nlohmann's lexer takes NUL for the end of the text and would ignore what follows.
  const size_t nul = text.find('\0');
  if (nul != absl::string_view::npos) {
    return absl::StrCat("header is not valid JSON at byte ", kLengthBytes + nul + 1);
  }
  return "";
}

// What a file is that is no safetensors file, by its first bytes or its name; empty when they tell nothing.
absl::string_view OtherFormat(absl::Span<const std::byte> file, absl::string_view file_name) {
  const absl::string_view start(reinterpret_cast<const char*>(file.data()),
                                std::min<size_t>(file.size(), 64));
  // torch.save writes a zip archive, before PyTorch 1.6 a bare pickle (of protocol 2 by default).
  bool pickled = absl::StartsWith(start, "PK\x03\x04") ||
                 (start.size() > 1 && start[0] == '\x80' && start[1] >= 2 && start[1] <= 5);
  for (const char* extension : {".bin", ".pt", ".pth", ".ckpt", ".pkl"}) {
    pickled |= absl::EndsWith(file_name, extension);
  }
  if (pickled) return "is a pickled PyTorch file; convert it to safetensors";
  if (absl::StartsWith(start, "version https://git-lfs")) {
    return "is a Git LFS pointer, not the file itself; git lfs pull fetches it";
  }
  return "";
}

}  // namespace

absl::string_view SafetensorsDtypeName(SafetensorsDtype dtype) { return InfoOf(dtype).name; }

absl::StatusOr<SafetensorsHeader> ParseSafetensorsHeader(absl::Span<const std::byte> file,
                                                         const std::string& file_name) {
  const auto refuse = [&file_name](const std::string& what) {
    return absl::InvalidArgumentError(absl::StrCat(file_name, ": ", what));
  };
  absl::string_view text;
  if (const std::string error = FindHeaderText(file, text); !error.empty()) {
    const absl::string_view other = OtherFormat(file, file_name);
    return refuse(other.empty() ? error : std::string(other));
  }
  SafetensorsHeader header;
  header.data_offset = kLengthBytes + text.size();
  HeaderHandler handler(header);
  if (!nlohmann::json::sax_parse(text.begin(), text.end(), &handler)) return refuse(handler.error());
  std::sort(header.entries.begin(), header.entries.end(), [](const auto& a, const auto& b) {
    return std::pair(a.begin, a.end) < std::pair(b.begin, b.end);
  });
  if (const std::string error = CheckLayout(header, file.size() - header.data_offset); !error.empty()) {
    return refuse(error);
  }
  return header;
}

}  // namespace kandinsky
