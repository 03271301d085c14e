#pragma once

#include <string_view>

namespace kandinsky {

// The orientation, 1-8, that an EXIF block asks for (EXIF 2.3, 4.6.4 A: tag 0x0112 of IFD0). `exif` is a TIFF
// structure, with or without the prefix "Exif\0\0" that JPEG puts before it. A block that cannot be read, or
// says nothing usable, counts as 1 (upright): it is metadata, and viewers show such pictures.
int ReadExifOrientation(std::string_view exif);

}  // namespace kandinsky
