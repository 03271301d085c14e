#include "clients/cpp/input_files.h"

#include <array>
#include <cerrno>
#include <cstdio>
#include <memory>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "absl/strings/str_join.h"
#include "clients/cpp/npy.h"
#include "clients/cpp/standard_streams.h"
#include "clients/cpp/utf8.h"

namespace kandinsky::client {
namespace {

constexpr size_t kMaxTextBytes = 1 << 20;
constexpr size_t kMaxEmbeddingFileBytes = 1 << 20;  // 1280 numbers take about 30 kB

std::string AsMebibytes(size_t bytes) { return absl::StrFormat("%d MiB", bytes >> 20); }

absl::Status TooLarge(const std::string& flag, const std::string& path, size_t max_bytes) {
  return absl::InvalidArgumentError(
      absl::StrCat(flag, ": ", path, " is larger than ", AsMebibytes(max_bytes)));
}

// An error of a parser, with the file that it is about.
absl::Status About(const std::string& flag, const std::string& path, const absl::Status& status) {
  return absl::Status(status.code(), absl::StrCat(flag, ": ", path, ": ", status.message()));
}

const char* ExpectedShape(TensorKind kind) {
  switch (kind) {
    case TensorKind::kLatents:
      return "[4, height, width]";
    case TensorKind::kPixels:
      return "[3, height, width]";
    case TensorKind::kDepth:
      return "[height, width] or [3, height, width]";
  }
  return "";
}

// Whether the sizes are those of `kind`, but for height and width.
bool HasShape(const v1::FloatTensor& tensor, TensorKind kind) {
  if (kind == TensorKind::kDepth && tensor.shape_size() == 2) return true;
  return tensor.shape_size() == 3 && tensor.shape(0) == (kind == TensorKind::kLatents ? 4 : 3);
}

absl::StatusOr<v1::FloatTensor> ToTensor(const std::string& flag, const std::string& path,
                                         const std::string& content, TensorKind kind) {
  absl::StatusOr<v1::FloatTensor> tensor = ParseNpy(content);
  if (!tensor.ok()) return About(flag, path, tensor.status());
  const auto found = tensor->shape();
  // Without the batch of one (for a depth map also the channel of one) in front.
  while (!HasShape(*tensor, kind) && tensor->shape_size() > 2 && tensor->shape(0) == 1) {
    tensor->mutable_shape()->erase(tensor->mutable_shape()->begin());
  }
  if (HasShape(*tensor, kind)) return tensor;
  const bool batch = found.size() == 4 && found[0] > 1;
  return About(flag, path,
               absl::InvalidArgumentError(absl::StrCat(
                   "its shape is [", absl::StrJoin(found, ", "), "], expected ", ExpectedShape(kind),
                   batch ? absl::StrCat("; send the ", found[0], " of this batch one by one") : "")));
}

// The file at `path`.
absl::StatusOr<std::string> ReadFile(const std::string& flag, const std::string& path, size_t max_bytes) {
  const auto unreadable = [&](int error) {
    return absl::ErrnoToStatus(error, absl::StrCat(flag, ": cannot read ", path));
  };
  const std::unique_ptr<std::FILE, int (*)(std::FILE*)> file(std::fopen(path.c_str(), "rb"), &std::fclose);
  if (file == nullptr) return unreadable(errno);
  std::string content;
  std::array<char, 1 << 16> block;
  size_t count = 0;
  // Not by the file's size: a pipe has none.
  while ((count = std::fread(block.data(), 1, block.size(), file.get())) > 0) {
    content.append(block.data(), count);
    if (content.size() > max_bytes) return TooLarge(flag, path, max_bytes);
  }
  if (std::ferror(file.get()) != 0) return unreadable(errno);
  return content;
}

}  // namespace

absl::StatusOr<std::string> ReadInput(const std::string& flag, const std::string& path, size_t max_bytes) {
  if (path.empty()) return absl::InvalidArgumentError(absl::StrCat(flag, ": the name of the file is empty"));
  absl::StatusOr<std::string> content =
      path == "-" ? ReadStandardInput(flag, max_bytes) : ReadFile(flag, path, max_bytes);
  if (content.ok() && content->empty()) {
    return absl::InvalidArgumentError(
        absl::StrCat(flag, ": ", path == "-" ? "the standard input" : path, " is empty"));
  }
  return content;
}

absl::StatusOr<std::string> ReadText(const std::string& flag, const std::string& text) {
  absl::StatusOr<std::string> content = text == "-" ? ReadInput(flag, text, kMaxTextBytes) : text;
  while (text == "-" && content.ok() && !content->empty() &&
         (content->back() == '\n' || content->back() == '\r')) {
    content->pop_back();
  }
  if (!content.ok()) return content;
  const std::string error = Utf8Error(*content);
  if (!error.empty()) return absl::InvalidArgumentError(absl::StrCat(flag, ": ", error));
  return content;
}

absl::StatusOr<std::string> ReadImageFile(const std::string& flag, const std::string& path) {
  return ReadInput(flag, path, kMaxInputFileBytes);
}

absl::StatusOr<v1::FloatTensor> ReadTensorFile(const std::string& flag, const std::string& path,
                                               TensorKind kind) {
  const absl::StatusOr<std::string> content = ReadInput(flag, path, kMaxInputFileBytes);
  if (!content.ok()) return content.status();
  return ToTensor(flag, path, *content, kind);
}

absl::StatusOr<ImageOrTensor> ReadImageOrTensorFile(const std::string& flag, const std::string& path,
                                                    TensorKind kind) {
  absl::StatusOr<std::string> content = ReadInput(flag, path, kMaxInputFileBytes);
  if (!content.ok()) return content.status();
  if (!IsNpy(*content)) return ImageOrTensor{.is_tensor = false, .image = *std::move(content), .tensor = {}};
  absl::StatusOr<v1::FloatTensor> tensor = ToTensor(flag, path, *content, kind);
  if (!tensor.ok()) return tensor.status();
  return ImageOrTensor{.is_tensor = true, .image = {}, .tensor = *std::move(tensor)};
}

absl::StatusOr<v1::Embedding> ReadEmbeddingFile(const std::string& flag, const std::string& path,
                                                EmbeddingRole role) {
  const absl::StatusOr<std::string> content = ReadInput(flag, path, kMaxEmbeddingFileBytes);
  if (!content.ok()) return content.status();
  absl::StatusOr<v1::Embedding> embedding = ParseEmbedding(*content, role);
  if (!embedding.ok()) return About(flag, path, embedding.status());
  return embedding;
}

}  // namespace kandinsky::client
