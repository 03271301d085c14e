#pragma once

#include <map>
#include <string>

#include "kandinsky/v1/image_generation.pb.h"

namespace kandinsky {

// The formats that a file can have, by the names of --format.
const std::map<std::string, v1::OutputFormat>& OutputFormats();

// The name of a format, "none" for one without a file.
std::string FormatName(v1::OutputFormat format);

// The format that goes with a file's extension, in any case: .png, .jpg, .jpeg, .webp, .rgb and .raw (raw),
// .npy (latent); PNG for every other.
v1::OutputFormat FormatOfFile(const std::string& path);

// "image" with the extension that goes with a format, e.g. "image.webp".
std::string DefaultImageFile(v1::OutputFormat format);

}  // namespace kandinsky
