#include "clients/cpp/image_files.h"

#include <unistd.h>

#include <filesystem>
#include <fstream>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "absl/strings/str_replace.h"
#include "clients/cpp/npy.h"

namespace kandinsky {

namespace fs = std::filesystem;

std::string ImagePath(const std::string& output, int index, int count) {
  if (count <= 1) return output;
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

absl::Status CheckOutput(const std::string& path) {
  std::error_code error;
  const fs::path folder = fs::path(path).parent_path();
  if (!folder.empty() && !fs::is_directory(folder, error)) {
    return absl::NotFoundError(absl::StrCat("there is no folder ", folder.string(), " for the output"));
  }
  if (fs::is_directory(path, error)) return absl::InvalidArgumentError(absl::StrCat(path, " is a folder"));
  return absl::OkStatus();
}

absl::Status WriteFile(const std::string& path, const std::string& content) {
  std::ofstream file(path, std::ios::binary);
  file.write(content.data(), static_cast<std::streamsize>(content.size()));
  file.close();
  if (file) return absl::OkStatus();
  return absl::UnknownError(absl::StrCat("cannot write ", path));
}

absl::Status ReplaceFile(const std::string& path, const std::string& content) {
  const std::string part = absl::StrCat(path, ".part", ::getpid());
  absl::Status status = WriteFile(part, content);
  std::error_code error;
  if (status.ok()) fs::rename(part, path, error);
  if (error) status = absl::UnknownError(absl::StrCat("cannot write ", path));
  if (!status.ok()) fs::remove(part, error);
  return status;
}

}  // namespace kandinsky
