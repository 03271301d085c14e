#include "imaging/pixel_conversion.h"

#include <cstring>
#include <utility>

#include "base/status_macros.h"

namespace kandinsky {
namespace {

// Where the pixels of the stored image are shown.
struct Placement {
  std::ptrdiff_t start;   // byte of stored pixel (0, 0)
  std::ptrdiff_t step_x;  // bytes from one pixel of a stored row to the next
  std::ptrdiff_t step_y;  // and from one stored row to the next
};

// The orientations say where row 0 and column 0 of the stored image are shown: 1 top left, 2 top right,
// 3 bottom right, 4 bottom left, 5 left top, 6 right top, 7 right bottom, 8 left bottom.
Placement Place(const Image& shown, int orientation) {
  const auto pixel = static_cast<std::ptrdiff_t>(shown.channels);
  const auto row = static_cast<std::ptrdiff_t>(shown.row_bytes());
  const bool transposed = orientation >= 5;
  const bool from_right = orientation == 2 || orientation == 3 || orientation == 6 || orientation == 7;
  const bool from_bottom = orientation == 3 || orientation == 4 || orientation == 7 || orientation == 8;
  const std::ptrdiff_t along = from_right ? -pixel : pixel;
  const std::ptrdiff_t down = from_bottom ? -row : row;
  const std::ptrdiff_t start = (from_right ? row - pixel : 0) + (from_bottom ? row * (shown.height - 1) : 0);
  return transposed ? Placement{start, down, along} : Placement{start, along, down};
}

}  // namespace

absl::StatusOr<Image> ApplyOrientation(Image image, int orientation) {
  if (orientation <= 1 || orientation > 8) return image;
  const bool transposed = orientation >= 5;
  ASSIGN_OR_RETURN(Image shown, AllocateImage(transposed ? image.height : image.width,
                                              transposed ? image.width : image.height, image.channels));
  const Placement placement = Place(shown, orientation);
  const auto pixel_bytes = static_cast<size_t>(image.channels);
  const uint8_t* from = image.pixels.data();
  for (int y = 0; y < image.height; ++y) {
    std::ptrdiff_t to = placement.start + y * placement.step_y;
    for (int x = 0; x < image.width; ++x) {
      std::memcpy(shown.pixels.data() + to, from, pixel_bytes);
      from += pixel_bytes;
      to += placement.step_x;
    }
  }
  return shown;
}

absl::StatusOr<Image> ToRgbOver(uint8_t background, Image image) {
  if (image.channels == 3) return image;
  const size_t count = static_cast<size_t>(image.width) * static_cast<size_t>(image.height);
  if (image.channels == 1) {
    ASSIGN_OR_RETURN(Image rgb, AllocateImage(image.width, image.height, 3));
    for (size_t i = 0; i < count; ++i) std::memset(rgb.pixels.data() + 3 * i, image.pixels[i], 3);
    return rgb;
  }
  for (size_t i = 0; i < count; ++i) {  // in place: the RGB pixel ends before the next RGBA pixel starts
    const uint8_t* rgba = image.pixels.data() + 4 * i;
    const uint32_t alpha = rgba[3];
    uint8_t* rgb = image.pixels.data() + 3 * i;
    for (size_t c = 0; c < 3; ++c) {
      rgb[c] = static_cast<uint8_t>((rgba[c] * alpha + background * (255 - alpha) + 127) / 255);
    }
  }
  image.channels = 3;
  image.pixels.resize(3 * count);
  return image;
}

Image ToLuma(Image image) {
  if (image.channels == 1) return image;
  const size_t count = static_cast<size_t>(image.width) * static_cast<size_t>(image.height);
  for (size_t i = 0; i < count; ++i) {
    const uint8_t* rgb = image.pixels.data() + 3 * i;
    image.pixels[i] =
        static_cast<uint8_t>((19595U * rgb[0] + 38470U * rgb[1] + 7471U * rgb[2] + 0x8000U) >> 16);
  }
  image.channels = 1;
  image.pixels.resize(count);
  return image;
}

}  // namespace kandinsky
