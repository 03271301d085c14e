#pragma once

#include <string>

#include "absl/status/statusor.h"
#include "kandinsky/v1/image_generation.pb.h"

namespace kandinsky::client {

// Tensors as files of NumPy: https://numpy.org/doc/stable/reference/generated/numpy.lib.format.html

// The content of a .npy file (format 1.0, float32, C order) that numpy.load reads. INVALID_ARGUMENT when the
// tensor's data is not what its shape says.
absl::StatusOr<std::string> ToNpy(const v1::FloatTensor& tensor);

// The tensor in the content of a .npy file of format 1.0 to 3.0, of floats of 16, 32 or 64 bits in either
// order of bytes and of dimensions; what is not float32 is rounded to it. INVALID_ARGUMENT, with what was
// found, when it is none, its values are of another type or too large for float32, or it is longer or shorter
// than its shape says.
absl::StatusOr<v1::FloatTensor> ParseNpy(const std::string& content);

// Whether a file's content begins like a .npy file.
bool IsNpy(const std::string& content);

}  // namespace kandinsky::client
