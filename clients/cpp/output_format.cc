#include "clients/cpp/output_format.h"

#include <filesystem>

#include "absl/strings/ascii.h"

namespace kandinsky {
namespace {

struct Extension {
  const char* name;
  v1::OutputFormat format;
};

// The first of a format is the one for files that this program names.
constexpr Extension kExtensions[] = {{".png", v1::OUTPUT_FORMAT_PNG},     {".jpg", v1::OUTPUT_FORMAT_JPEG},
                                     {".jpeg", v1::OUTPUT_FORMAT_JPEG},   {".webp", v1::OUTPUT_FORMAT_WEBP},
                                     {".rgb", v1::OUTPUT_FORMAT_RAW_RGB}, {".raw", v1::OUTPUT_FORMAT_RAW_RGB},
                                     {".npy", v1::OUTPUT_FORMAT_LATENT}};

}  // namespace

const std::map<std::string, v1::OutputFormat>& OutputFormats() {
  static const auto* const formats =
      new std::map<std::string, v1::OutputFormat>{{"png", v1::OUTPUT_FORMAT_PNG},
                                                  {"jpeg", v1::OUTPUT_FORMAT_JPEG},
                                                  {"webp", v1::OUTPUT_FORMAT_WEBP},
                                                  {"raw", v1::OUTPUT_FORMAT_RAW_RGB},
                                                  {"latent", v1::OUTPUT_FORMAT_LATENT}};
  return *formats;
}

std::string FormatName(v1::OutputFormat format) {
  for (const auto& [name, value] : OutputFormats()) {
    if (value == format) return name;
  }
  return "none";
}

v1::OutputFormat FormatOfFile(const std::string& path) {
  const std::string extension = absl::AsciiStrToLower(std::filesystem::path(path).extension().string());
  for (const Extension& entry : kExtensions) {
    if (extension == entry.name) return entry.format;
  }
  return v1::OUTPUT_FORMAT_PNG;
}

std::string DefaultImageFile(v1::OutputFormat format) {
  for (const Extension& entry : kExtensions) {
    if (entry.format == format) return std::string("image") + entry.name;
  }
  return "image.png";
}

}  // namespace kandinsky
