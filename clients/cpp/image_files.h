#pragma once

#include <string>

#include "absl/status/statusor.h"
#include "kandinsky/v1/image_generation.pb.h"

namespace kandinsky::client {

// Of the files of a request, those that are looked at before the server is asked, which refuses far fewer
// images.
constexpr int kMostCheckedFiles = 1000;

// The file of image `index` of `count`: with several images the index goes before the extension, cat.png ->
// cat-0.png, cat-1.png, ... The standard output and other descriptors stay what they are.
std::string ImagePath(const std::string& output, int index, int count);

// The file of a preview: "{image}" in the pattern becomes the image's index and "{step}" the step in four
// digits. Without "{image}" the index goes where ImagePath puts it, and without "{step}" each preview of an
// image has the file of the one before.
std::string PreviewPath(const std::string& pattern, const v1::PreviewEvent& preview, int count);

// What the file of a result holds: the encoded image, or its latents as a .npy file. FAILED_PRECONDITION when
// the result is only facts, DATA_LOSS when its latents have another size than their shape.
absl::StatusOr<std::string> FileContent(const v1::GeneratedImage& image);

}  // namespace kandinsky::client
