#include "clients/cpp/image_files.h"

#include <filesystem>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "absl/strings/str_replace.h"
#include "clients/cpp/npy.h"
#include "clients/cpp/standard_streams.h"

namespace kandinsky::client {

namespace fs = std::filesystem;

std::string ImagePath(const std::string& output, int index, int count) {
  if (count <= 1 || OutputDescriptor(output) >= 0) return output;
  fs::path path(output);
  const std::string name = absl::StrCat(path.stem().string(), "-", index, path.extension().string());
  return path.replace_filename(name).string();
}

std::string PreviewPath(const std::string& pattern, const v1::PreviewEvent& preview, int count) {
  const bool has_index = absl::StrContains(pattern, "{image}");
  const std::string path =
      absl::StrReplaceAll(pattern, {{"{image}", absl::StrCat(preview.image_index())},
                                    {"{step}", absl::StrFormat("%04d", preview.step())}});
  return has_index ? path : ImagePath(path, preview.image_index(), count);
}

absl::StatusOr<std::string> FileContent(const v1::GeneratedImage& image) {
  switch (image.payload_case()) {
    case v1::GeneratedImage::kData:
      return image.data();
    case v1::GeneratedImage::kLatents: {
      absl::StatusOr<std::string> content = ToNpy(image.latents());
      if (!content.ok()) return absl::DataLossError(content.status().message());
      return content;
    }
    case v1::GeneratedImage::PAYLOAD_NOT_SET:
      break;
  }
  return absl::FailedPreconditionError(absl::StrCat("image ", image.index(), " came without data"));
}

}  // namespace kandinsky::client
