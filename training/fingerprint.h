#pragma once

#include <cstdint>
#include <string>

#include "absl/strings/string_view.h"

namespace kandinsky::training {

// A 64-bit name (FNV-1a) for what cached results depend on; the same on every machine. Not for security.
class Fingerprint {
 public:
  // Adds a text; two texts after each other differ from their concatenation.
  Fingerprint& Add(absl::string_view text);
  // Adds size, beginning and end of a file (64 KiB each), so that a copy counts as the same; a missing one
  // counts as such.
  Fingerprint& AddFile(const std::string& path);
  // The same for every file in a folder, e.g. the shards of a network.
  Fingerprint& AddFolder(const std::string& path);

  // 16 hexadecimal digits.
  std::string ToString() const;

 private:
  uint64_t state_ = 14695981039346656037u;
};

}  // namespace kandinsky::training
