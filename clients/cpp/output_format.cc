#include "clients/cpp/output_format.h"

#include <algorithm>
#include <filesystem>
#include <iterator>

#include "absl/strings/ascii.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"

namespace kandinsky::client {
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

// Known extensions of what is never written as an image or a tensor.
constexpr const char* kForeign[] = {
    ".apng", ".avif",        ".bmp",  ".dds", ".emf", ".eps",  ".exr", ".gif",  ".hdr", ".heic", ".heif",
    ".ico",  ".j2k",         ".jfif", ".jif", ".jp2", ".jpe",  ".jpx", ".json", ".jxl", ".npz",  ".pam",
    ".pbm",  ".pcx",         ".pdf",  ".pfm", ".pgm", ".pkl",  ".pnm", ".ppm",  ".psd", ".pt",   ".pth",
    ".qoi",  ".safetensors", ".svg",  ".tga", ".tif", ".tiff", ".txt", ".xcf",  ".zip"};

std::string ExtensionOf(const std::string& path) {
  const std::string extension = absl::AsciiStrToLower(std::filesystem::path(path).extension().string());
  return extension == "." ? "" : extension;
}

bool IsForeign(const std::string& extension) {
  return std::find(std::begin(kForeign), std::end(kForeign), extension) != std::end(kForeign);
}

std::vector<std::string> AllExtensions() {
  std::vector<std::string> extensions;
  for (const Extension& entry : kExtensions) extensions.push_back(entry.name);
  return extensions;
}

// E.g. ".a, .b or .c".
std::string OneOf(const std::vector<std::string>& names) {
  if (names.size() < 2) return absl::StrJoin(names, "");
  return absl::StrCat(absl::StrJoin(names.begin(), names.end() - 1, ", "), " or ", names.back());
}

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

std::optional<v1::OutputFormat> FormatOfExtension(const std::string& path) {
  const std::string extension = ExtensionOf(path);
  for (const Extension& entry : kExtensions) {
    if (extension == entry.name) return entry.format;
  }
  return std::nullopt;
}

absl::StatusOr<v1::OutputFormat> FormatOfFile(const std::string& path, const std::string& chosen) {
  if (!chosen.empty()) {
    const v1::OutputFormat format = OutputFormats().at(chosen);
    const absl::Status status = CheckFileName(path, ExtensionsOf(format));
    if (!status.ok()) return status;
    return format;
  }
  if (const std::optional<v1::OutputFormat> format = FormatOfExtension(path)) return *format;
  if (ExtensionOf(path).empty()) return v1::OUTPUT_FORMAT_PNG;
  return absl::InvalidArgumentError(absl::StrCat(path, ": ", ExtensionOf(path),
                                                 " is not an extension that is known; ", "name it ",
                                                 OneOf(AllExtensions()), ", or give --format"));
}

std::vector<std::string> ExtensionsOf(v1::OutputFormat format) {
  std::vector<std::string> extensions;
  for (const Extension& entry : kExtensions) {
    if (entry.format == format) extensions.push_back(entry.name);
  }
  return extensions;
}

absl::Status CheckFileName(const std::string& path, const std::vector<std::string>& extensions) {
  const std::string extension = ExtensionOf(path);
  if (std::find(extensions.begin(), extensions.end(), extension) != extensions.end()) return absl::OkStatus();
  if (!IsForeign(extension) && !FormatOfExtension(path)) return absl::OkStatus();
  return absl::InvalidArgumentError(absl::StrCat(path, ": its content would not be what ", extension,
                                                 " says; name it ", OneOf(extensions)));
}

absl::Status CheckAnyFileName(const std::string& path) {
  return IsForeign(ExtensionOf(path)) ? CheckFileName(path, AllExtensions()) : absl::OkStatus();
}

std::string DefaultImageFile(v1::OutputFormat format) {
  for (const Extension& entry : kExtensions) {
    if (entry.format == format) return std::string("image") + entry.name;
  }
  return "image.png";
}

}  // namespace kandinsky::client
