#pragma once

#include <cstddef>
#include <string>

#include "absl/status/statusor.h"
#include "clients/cpp/embedding_file.h"
#include "kandinsky/v1/image_generation.pb.h"

namespace kandinsky::client {

// Files that go into a request; "-" is the standard input. Errors begin with the flag that named the file,
// e.g.
// "--image: cannot read cat.png: No such file or directory".

// The largest file that is read, in bytes: a guard against wrong files and devices without an end. What a
// server takes is its own setting; its error names the rule.
constexpr size_t kMaxInputFileBytes = 64 << 20;

// The whole file. The error of the system when it cannot be read, INVALID_ARGUMENT when it has no name, is
// empty or longer than `max_bytes`. Pipes are files too.
absl::StatusOr<std::string> ReadInput(const std::string& flag, const std::string& path, size_t max_bytes);

// A text, or for "-" what the standard input holds, without the line ends at its end. INVALID_ARGUMENT when
// it is not UTF-8.
absl::StatusOr<std::string> ReadText(const std::string& flag, const std::string& text);

// A file with an image, as it is.
absl::StatusOr<std::string> ReadImageFile(const std::string& flag, const std::string& path);

// What a tensor is to be.
enum class TensorKind {
  kLatents,  // [4, height / 8, width / 8]
  kPixels,   // [3, height, width]
  kDepth,    // [height, width] or [3, height, width]
};

// A .npy file; a batch of one is taken as what is in it. INVALID_ARGUMENT, with the shape that was found and
// the one that is expected, when it has another.
absl::StatusOr<v1::FloatTensor> ReadTensorFile(const std::string& flag, const std::string& path,
                                               TensorKind kind);

// What a file that may be an image or a .npy file is.
struct ImageOrTensor {
  bool is_tensor = false;
  std::string image;
  v1::FloatTensor tensor;
};
absl::StatusOr<ImageOrTensor> ReadImageOrTensorFile(const std::string& flag, const std::string& path,
                                                    TensorKind kind);

// A file of `kandinsky embed`, see ParseEmbedding.
absl::StatusOr<v1::Embedding> ReadEmbeddingFile(const std::string& flag, const std::string& path,
                                                EmbeddingRole role = EmbeddingRole::kImage);

}  // namespace kandinsky::client
