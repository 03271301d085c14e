#pragma once

#include <cstddef>
#include <cstdint>
#include <map>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "absl/types/span.h"

namespace kandinsky {

// Element types of safetensors files that this project reads.
enum class SafetensorsDtype { kF64, kF32, kF16, kBF16, kI64, kI32, kI16, kI8, kU8, kBool };

// One tensor of a file. `begin` and `end` are byte offsets from SafetensorsHeader::data_offset.
struct SafetensorsEntry {
  std::string name;
  SafetensorsDtype dtype = SafetensorsDtype::kF32;
  std::vector<int64_t> shape;  // empty: a scalar
  size_t begin = 0;
  size_t end = 0;
};

// The checked header of a safetensors file. Every entry lies inside the file, has exactly the bytes that its
// dtype and shape need, and the entries cover the data without hole or overlap.
struct SafetensorsHeader {
  std::vector<SafetensorsEntry> entries;  // in order of `begin`
  std::map<std::string, std::string> metadata;
  size_t data_offset = 0;  // from the start of the file
};

// The longest header that is read, as in the reference implementation.
inline constexpr size_t kMaxSafetensorsHeaderBytes = 100'000'000;

// "F32" etc., as files spell it.
absl::string_view SafetensorsDtypeName(SafetensorsDtype dtype);

// Parses and checks the header of a whole file of untrusted bytes; allocates no more than the header's own
// size suggests. INVALID_ARGUMENT that starts with `file_name` and names the tensor or key in question.
// Specification: https://github.com/huggingface/safetensors#format
absl::StatusOr<SafetensorsHeader> ParseSafetensorsHeader(absl::Span<const std::byte> file,
                                                         const std::string& file_name);

}  // namespace kandinsky
