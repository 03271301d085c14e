#pragma once

#include "absl/status/statusor.h"
#include "imaging/image.h"
#include "training/dataset/caption_dataset.h"

namespace kandinsky::training {

// Reads the image of a sample as RGB, by the rules of imaging/encoded_image.h, of at most 256 MiB and 2^27
// pixels. The errors of ReadFile and DecodeImage, with the image's path and the sample's place before them.
// Thread-safe.
absl::StatusOr<Image> LoadTrainingImage(const TrainingSample& sample);

// The same for its hint image, a depth map: what is transparent is far, black. INVALID_ARGUMENT also when
// the sample has none.
absl::StatusOr<Image> LoadTrainingHint(const TrainingSample& sample);

// The part of an image that is learned, in pixels.
struct CropBox {
  int left = 0;
  int top = 0;
  int width = 0;
  int height = 0;
};

// The middle square of an image, with the rounding of Pillow's Image.crop, which diffusers' training scripts
// hand the fractions (width - side) / 2 and (width + side) / 2: both go to the nearest even number from a
// half, so that the longer side may get one pixel less or more than `side` (but one at least). Sides are 1
// or more.
CropBox CenterCrop(int width, int height);

// What the decoder learns of an RGB image: CenterCrop's part, bicubic to resolution x resolution pixels
// with Pillow's reducing_gap=1, as diffusers' train_text_to_image_decoder.py does. Errors of Resize.
// Thread-safe.
absl::StatusOr<Image> CropAndResize(const Image& rgb, int resolution);

}  // namespace kandinsky::training
