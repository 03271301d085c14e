#pragma once

#include <map>
#include <optional>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "kandinsky/v1/image_generation.pb.h"

namespace kandinsky::client {

// The formats that a file can have, by the names of --format.
const std::map<std::string, v1::OutputFormat>& OutputFormats();

// The name of a format, "none" for one without a file.
std::string FormatName(v1::OutputFormat format);

// The format that a file's extension stands for, in any case: .png, .jpg, .jpeg, .webp, .rgb and .raw (raw),
// .npy (latent); nothing for every other.
std::optional<v1::OutputFormat> FormatOfExtension(const std::string& path);

// The format of a file called `path`: `chosen`, a name of --format, or if that is empty what the extension
// stands for; PNG when there is none either. INVALID_ARGUMENT when the extension is no format's, or that of
// another content than `chosen`.
absl::StatusOr<v1::OutputFormat> FormatOfFile(const std::string& path, const std::string& chosen);

// The extensions of a format's files.
std::vector<std::string> ExtensionsOf(v1::OutputFormat format);

// INVALID_ARGUMENT when a file called `path` would be taken for something else than what has these
// extensions: for another format, or a kind of image or tensor file that is not written at all. Unknown
// extensions promise nothing.
absl::Status CheckFileName(const std::string& path, const std::vector<std::string>& extensions);

// For a file whose format the server says later: INVALID_ARGUMENT when it cannot be what it is called.
absl::Status CheckAnyFileName(const std::string& path);

// "image" with the extension that goes with a format, e.g. "image.webp".
std::string DefaultImageFile(v1::OutputFormat format);

}  // namespace kandinsky::client
