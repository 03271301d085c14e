#include "training/fingerprint.h"

#include <algorithm>
#include <filesystem>
#include <system_error>
#include <vector>

#include "absl/strings/str_cat.h"
#include "base/mapped_file.h"

namespace kandinsky::training {

Fingerprint& Fingerprint::Add(absl::string_view text) {
  constexpr uint64_t kPrime = 1099511628211u;
  const auto add = [this](unsigned char byte) { state_ = (state_ ^ byte) * kPrime; };
  for (const char c : text) add(static_cast<unsigned char>(c));
  for (uint64_t size = text.size(), i = 0; i < sizeof size; ++i)
    add(static_cast<unsigned char>(size >> (8 * i)));
  return *this;
}

Fingerprint& Fingerprint::AddFile(const std::string& path) {
  constexpr size_t kPart = 64 << 10;
  const auto file = MappedFile::Open(path);
  if (!file.ok()) return Add("missing");
  const absl::Span<const std::byte> bytes = (*file)->bytes();
  const absl::string_view text(reinterpret_cast<const char*>(bytes.data()), bytes.size());
  Add(absl::StrCat(text.size())).Add(text.substr(0, kPart));
  return Add(text.substr(text.size() - std::min(text.size(), kPart)));
}

Fingerprint& Fingerprint::AddFolder(const std::string& path) {
  std::vector<std::string> files;
  std::error_code error;
  std::filesystem::directory_iterator entry(path, error);
  for (const std::filesystem::directory_iterator end; !error && entry != end; entry.increment(error)) {
    files.push_back(entry->path().string());
  }
  std::sort(files.begin(), files.end());
  for (const std::string& file : files) AddFile(file);
  return *this;
}

std::string Fingerprint::ToString() const { return absl::StrCat(absl::Hex(state_, absl::kZeroPad16)); }

}  // namespace kandinsky::training
