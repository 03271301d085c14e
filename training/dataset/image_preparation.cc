#include "training/dataset/image_preparation.h"

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>

#include "absl/status/status.h"
#include "absl/strings/str_cat.h"
#include "base/mapped_file.h"
#include "base/status_macros.h"
#include "imaging/encoded_image.h"
#include "imaging/resize.h"

namespace kandinsky::training {
namespace {

// Files of the user's own choice, not of strangers: larger than a server would take.
constexpr DecodeLimits kLimits = {.max_pixels = int64_t{1} << 27, .max_encoded_bytes = size_t{256} << 20};

absl::StatusOr<Image> DecodeFile(const std::string& path, Ground ground) {
  ASSIGN_OR_RETURN(const std::string bytes, ReadFile(path, kLimits.max_encoded_bytes));
  return DecodeImage(std::string_view(bytes), kLimits, ground);
}

// The image at `path`, which belongs to `sample`.
absl::StatusOr<Image> Load(const TrainingSample& sample, const std::string& path, Ground ground) {
  absl::StatusOr<Image> image = DecodeFile(path, ground);
  if (image.ok()) return image;
  return absl::Status(image.status().code(),
                      absl::StrCat(path, " (", PlaceOf(sample), "): ", image.status().message()));
}

// Half of `doubled`, a half to the even neighbor, as Python's round does.
int RoundedHalf(int doubled) {
  const int floor = doubled / 2;
  return doubled % 2 == 1 && floor % 2 == 1 ? floor + 1 : floor;
}

absl::StatusOr<Image> Crop(const Image& image, const CropBox& box) {
  ASSIGN_OR_RETURN(Image part, AllocateImage(box.width, box.height, image.channels));
  const size_t skipped = static_cast<size_t>(box.left) * static_cast<size_t>(image.channels);
  for (int y = 0; y < box.height; ++y) {
    const uint8_t* row = image.pixels.data() + static_cast<size_t>(box.top + y) * image.row_bytes() + skipped;
    std::copy_n(row, part.row_bytes(), part.pixels.data() + static_cast<size_t>(y) * part.row_bytes());
  }
  return part;
}

}  // namespace

absl::StatusOr<Image> LoadTrainingImage(const TrainingSample& sample) {
  return Load(sample, sample.image_path, Ground::kWhite);
}

absl::StatusOr<Image> LoadTrainingHint(const TrainingSample& sample) {
  if (!sample.hint_path.empty()) return Load(sample, sample.hint_path, Ground::kBlack);
  return absl::InvalidArgumentError(
      absl::StrCat(PlaceOf(sample), ": a hint image is missing, which this network follows"));
}

CropBox CenterCrop(int width, int height) {
  const int side = std::min(width, height);
  CropBox box;
  box.left = RoundedHalf(width - side);
  box.top = RoundedHalf(height - side);
  box.width = std::max(RoundedHalf(width + side) - box.left, 1);
  box.height = std::max(RoundedHalf(height + side) - box.top, 1);
  return box;
}

absl::StatusOr<Image> CropAndResize(const Image& rgb, int resolution) {
  RETURN_IF_ERROR(CheckImage(rgb));
  if (rgb.channels != 3) return absl::InvalidArgumentError("an image to learn must be RGB");
  ASSIGN_OR_RETURN(const Image part, Crop(rgb, CenterCrop(rgb.width, rgb.height)));
  return Resize(part, resolution, resolution, {.filter = ResampleFilter::kBicubic, .reducing_gap = true});
}

}  // namespace kandinsky::training
