#pragma once

#include <cstdint>
#include <functional>
#include <string>
#include <string_view>
#include <vector>

#include "absl/status/status.h"
#include "imaging/encoded_image.h"
#include "kandinsky/v1/image_generation.pb.h"
#include "pipeline/capabilities.h"
#include "pipeline/generation_request.h"

namespace kandinsky::server {

// An image or tensor of a request that is still as it came: what validation leaves for the codec executor.
struct RequestInput {
  std::string field;          // its path in the request
  int64_t passing_bytes = 0;  // memory that preparing it takes for a while
  int64_t kept_bytes = 0;     // memory that it takes in the native requests, which share it
  // Decodes it and puts it into the native requests. INVALID_ARGUMENT, with a text for the client, when it is
  // damaged; RESOURCE_EXHAUSTED when there is no memory. Takes milliseconds to a second. The wire message
  // that it was made for must still be there.
  std::function<absl::Status(std::vector<GenerationRequest>&)> prepare;
};

// An encoded image whose header was checked. `bytes` belongs to the wire message.
struct EncodedImage {
  std::string field;
  std::string_view bytes;
  ImageInfo info;
  DecodeLimits limits;
};

// Where a prepared image or tensor goes.
using PlaceImage = std::function<void(std::vector<GenerationRequest>&, const InputImage&)>;
using PlaceTensor = std::function<void(std::vector<GenerationRequest>&, const SharedFloatTensor&)>;

// Puts it into the same place of each request: `place` gives that.
template <typename Place>
auto InEach(Place place) {
  return [place](std::vector<GenerationRequest>& requests, const auto& value) {
    for (GenerationRequest& request : requests) place(request) = value;
  };
}

// Puts it into one request.
template <typename Place>
auto InOne(size_t index, Place place) {
  return [index, place](std::vector<GenerationRequest>& requests, const auto& value) {
    place(requests[index]) = value;
  };
}

struct ImageSize {
  int width = 0;
  int height = 0;
};

// RGB of the given size, as diffusers resizes (bicubic, Pillow's reducing_gap of 1).
RequestInput ResizedImage(const EncodedImage& image, ImageSize size, PlaceImage place);

// RGB, the square that the model's CLIP sees.
RequestInput ImageForClip(const EncodedImage& image, const Capabilities& capabilities, PlaceImage place);

// Gray of the given size, 255 to be painted, as diffusers resizes masks (Lanczos). `keeps_white`: white is
// what is kept. What is transparent is not painted, with either; what is so in part is as far painted as the
// image over the color that is not painted says.
RequestInput ResizedMask(const EncodedImage& image, ImageSize size, bool keeps_white, PlaceImage place);

// [3, height, width] of the given size, 0..1. What is transparent is far, 0.
RequestInput DepthOfImage(const EncodedImage& image, ImageSize size, PlaceTensor place);

// A tensor as it is. `tensor` was checked and belongs to the wire message.
RequestInput TensorAsIs(const std::string& field, const v1::FloatTensor& tensor, PlaceTensor place);

// [height, width] or [3, height, width] as [3, height, width]; as TensorAsIs.
RequestInput DepthOfTensor(const std::string& field, const v1::FloatTensor& tensor, PlaceTensor place);

}  // namespace kandinsky::server
