#pragma once

#include <vector>

#include "absl/status/statusor.h"
#include "imaging/image.h"

namespace kandinsky {

struct ContactSheetOptions {
  int columns = 4;  // 1 or more; a sheet of fewer images has as many columns as images
  int tile = 128;   // edge of the square that every image gets, pixels, 1 or more
  int gap = 8;      // white pixels between tiles and round the sheet, 0 or more
};

// RGB images in rows, left to right, on white, each scaled (bicubic) to fit its tile and centered in it.
// Errors: INVALID_ARGUMENT without images, for an image that is not RGB or contradicts itself, for options
// out of range and for a sheet that is larger than CheckImage allows; RESOURCE_EXHAUSTED without memory.
// Thread-safe.
absl::StatusOr<Image> MakeContactSheet(const std::vector<Image>& images,
                                       const ContactSheetOptions& options = {});

}  // namespace kandinsky
