#pragma once

#include <optional>
#include <string_view>

namespace kandinsky {

// The orientation, 1-8, that the metadata of an image ask for, found where Pillow 13 finds it
// (Image.getexif): the EXIF block's, or, when that has none, the first in the XMP packet. What cannot be
// read, or says nothing usable, counts as 1 (upright): it is metadata, and viewers show such images. Both
// may be empty.
int ReadOrientation(std::string_view exif, std::string_view xmp);

// The orientation tag (0x0112) of an EXIF block's IFD0 (EXIF 2.3, 4.6.4 A), whatever its value; nothing
// without one. Of several values the first counts. `exif` is a TIFF structure, with or without the prefix
// "Exif\0\0" that JPEG puts before it.
std::optional<int> ReadExifOrientation(std::string_view exif);

// The digit behind the first `tiff:Orientation="` or `tiff:Orientation>` that has one.
std::optional<int> ReadXmpOrientation(std::string_view xmp);

}  // namespace kandinsky
