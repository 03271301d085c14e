#include "imaging/contact_sheet.h"

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <cstdint>

#include "absl/strings/str_cat.h"
#include "base/status_macros.h"
#include "imaging/resize.h"

namespace kandinsky {
namespace {

absl::Status Check(const std::vector<Image>& images, const ContactSheetOptions& options) {
  if (images.empty()) return absl::InvalidArgumentError("a contact sheet needs at least one image");
  if (options.columns < 1 || options.tile < 1 || options.tile > kMaxImageSide || options.gap < 0 ||
      options.gap > kMaxImageSide) {
    return absl::InvalidArgumentError(absl::StrCat("columns must be at least 1, tile within 1..",
                                                   kMaxImageSide, ", gap within 0..", kMaxImageSide));
  }
  for (const Image& image : images) {
    RETURN_IF_ERROR(CheckImage(image));
    if (image.channels != 3) return absl::InvalidArgumentError("an image of a contact sheet is not RGB");
  }
  return absl::OkStatus();
}

// As large as fits into a square of `tile` pixels.
absl::StatusOr<Image> Fit(const Image& image, int tile) {
  const double scale = static_cast<double>(tile) / std::max(image.width, image.height);
  const auto side = [&](int length) { return std::max(1, static_cast<int>(std::lround(length * scale))); };
  return Resize(image, side(image.width), side(image.height));
}

void Paste(const Image& image, int left, int top, Image& sheet) {
  for (int row = 0; row < image.height; ++row) {
    const auto source = image.pixels.begin() + static_cast<std::ptrdiff_t>(image.row_bytes()) * row;
    std::copy_n(source, image.row_bytes(),
                sheet.pixels.begin() + static_cast<std::ptrdiff_t>(sheet.row_bytes()) * (top + row) +
                    std::ptrdiff_t{left} * sheet.channels);
  }
}

}  // namespace

absl::StatusOr<Image> MakeContactSheet(const std::vector<Image>& images, const ContactSheetOptions& options) {
  RETURN_IF_ERROR(Check(images, options));
  const auto count = static_cast<int64_t>(images.size());
  const int64_t columns = std::min<int64_t>(options.columns, count);
  const int64_t rows = (count + columns - 1) / columns;
  const int64_t pitch = int64_t{options.tile} + options.gap;
  const int64_t width = columns * pitch + options.gap;
  const int64_t height = rows * pitch + options.gap;
  if (std::max(width, height) > kMaxImageSide) {
    return absl::InvalidArgumentError(absl::StrCat("the contact sheet would have ", width, " x ", height,
                                                   " pixels, at most ", kMaxImageSide, " a side"));
  }
  ASSIGN_OR_RETURN(Image sheet, AllocateImage(static_cast<int>(width), static_cast<int>(height), 3));
  std::fill(sheet.pixels.begin(), sheet.pixels.end(), uint8_t{255});
  for (int64_t i = 0; i < count; ++i) {
    ASSIGN_OR_RETURN(const Image tile, Fit(images[static_cast<size_t>(i)], options.tile));
    const auto left = static_cast<int>(options.gap + (i % columns) * pitch) + (options.tile - tile.width) / 2;
    const auto top = static_cast<int>(options.gap + (i / columns) * pitch) + (options.tile - tile.height) / 2;
    Paste(tile, left, top, sheet);
  }
  return sheet;
}

}  // namespace kandinsky
