#pragma once

#include <string>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "kandinsky/v1/image_generation.pb.h"

namespace kandinsky {

// The file of image `index` of `count`: with several images the index goes before the extension, cat.png ->
// cat-0.png, cat-1.png, ...
std::string ImagePath(const std::string& output, int index, int count);

// The file of a preview: "{image}" in the pattern becomes the image's index and "{step}" the step in four
// digits. Without "{image}" the index goes where ImagePath puts it, and without "{step}" each preview of an
// image has the file of the one before.
std::string PreviewPath(const std::string& pattern, const v1::PreviewEvent& preview, int count);

// What the file of a result holds: the encoded image, or its latents as a .npy file. FAILED_PRECONDITION when
// the result is only facts, DATA_LOSS when its latents have another size than their shape.
absl::StatusOr<std::string> FileContent(const v1::GeneratedImage& image);

// Whether a file could be written at `path`, to be asked before the server works for minutes. NOT_FOUND when
// its folder is missing, INVALID_ARGUMENT when it is a folder.
absl::Status CheckOutput(const std::string& path);

// UNKNOWN when the file cannot be written.
absl::Status WriteFile(const std::string& path, const std::string& content);

// The same, but whoever reads `path` meanwhile sees the old or the new content, never a part: writes a file
// beside it and renames that.
absl::Status ReplaceFile(const std::string& path, const std::string& content);

}  // namespace kandinsky
