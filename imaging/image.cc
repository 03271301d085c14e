#include "imaging/image.h"

#include <exception>

#include "absl/strings/str_cat.h"

namespace kandinsky {

absl::Status CheckImage(const Image& image) {
  if (image.width < 1 || image.height < 1) {
    return absl::InvalidArgumentError(absl::StrCat("image of ", image.width, "x", image.height, " pixels"));
  }
  if (image.channels != 1 && image.channels != 3 && image.channels != 4) {
    return absl::InvalidArgumentError(
        absl::StrCat("image has ", image.channels, " channels instead of 1, 3 or 4"));
  }
  constexpr size_t kMaxBytes = size_t{1} << 30;
  if (image.row_bytes() > kMaxBytes / static_cast<size_t>(image.height)) {
    return absl::InvalidArgumentError(
        absl::StrCat("image of ", image.width, "x", image.height, " pixels is too large"));
  }
  const size_t expected = image.row_bytes() * static_cast<size_t>(image.height);
  if (image.pixels.size() != expected) {
    return absl::InvalidArgumentError(
        absl::StrCat("image has ", image.pixels.size(), " bytes of pixels instead of ", expected));
  }
  return absl::OkStatus();
}

absl::StatusOr<Image> AllocateImage(int width, int height, int channels) {
  Image image{width, height, channels, {}};
  try {
    image.pixels.resize(image.row_bytes() * static_cast<size_t>(height));
  } catch (const std::exception&) {  // bad_alloc, length_error
    return absl::ResourceExhaustedError("no memory for the image");
  }
  return image;
}

}  // namespace kandinsky
