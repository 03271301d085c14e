#pragma once

#include <torch/types.h>

#include "absl/types/span.h"
#include "imaging/image.h"

namespace kandinsky {

// An encoder of what an image shows, e.g. CLIP's vision tower. Immutable and thread-safe.
class ImageEncoder {
 public:
  virtual ~ImageEncoder() = default;

  // Embeds RGB images of Capabilities::clip_image_size, >= 1: [N, embedding_dim], not normalized. Throws what
  // libtorch throws.
  virtual torch::Tensor Embed(absl::Span<const Image* const> images) const = 0;
};

}  // namespace kandinsky
