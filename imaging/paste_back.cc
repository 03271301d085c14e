#include "imaging/paste_back.h"

#include <cmath>
#include <vector>

#include "absl/strings/str_cat.h"
#include "base/status_macros.h"
#include "imaging/distance_transform.h"

namespace kandinsky {
namespace {

constexpr int kPainted = 128;

absl::Status CheckSameSize(const char* name, const Image& image, const Image& painted) {
  if (image.width == painted.width && image.height == painted.height) return absl::OkStatus();
  return absl::InvalidArgumentError(absl::StrCat(name, " has ", image.width, "x", image.height,
                                                 " pixels, the painted image ", painted.width, "x",
                                                 painted.height));
}

absl::Status CheckArguments(const Image& painted, const Image& original, const Image& mask, int feather) {
  RETURN_IF_ERROR(CheckImage(painted));
  RETURN_IF_ERROR(CheckImage(original));
  RETURN_IF_ERROR(CheckImage(mask));
  RETURN_IF_ERROR(CheckSameSize("original image", original, painted));
  RETURN_IF_ERROR(CheckSameSize("mask", mask, painted));
  if (original.channels != painted.channels) {
    return absl::InvalidArgumentError(absl::StrCat("original image has ", original.channels,
                                                   " channels, the painted image ", painted.channels));
  }
  if (mask.channels != 1) return absl::InvalidArgumentError("mask must be gray");
  if (feather < 0 || feather > kMaxFeather) {
    return absl::InvalidArgumentError(absl::StrCat("feather ", feather, " is not in 0..", kMaxFeather));
  }
  return absl::OkStatus();
}

}  // namespace

absl::StatusOr<Image> PasteBack(const Image& painted, const Image& original, const Image& mask, int feather) {
  RETURN_IF_ERROR(CheckArguments(painted, original, mask, feather));
  const int full = feather + 1;
  const std::vector<int32_t> distances = SquaredDistances(mask, kPainted, full);
  const auto channels = static_cast<size_t>(painted.channels);
  Image result = original;
  for (size_t i = 0; i < distances.size(); ++i) {
    if (distances[i] == 0) continue;
    const double weight = std::sqrt(static_cast<double>(distances[i])) / full;
    for (size_t at = i * channels; at < (i + 1) * channels; ++at) {
      const double kept = original.pixels[at];
      result.pixels[at] = static_cast<uint8_t>(std::lround(kept + weight * (painted.pixels[at] - kept)));
    }
  }
  return result;
}

}  // namespace kandinsky
