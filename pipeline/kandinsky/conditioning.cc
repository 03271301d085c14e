#include "pipeline/kandinsky/conditioning.h"

#include <algorithm>
#include <utility>

namespace kandinsky {
namespace {

// Bounds the memory of a request with many steps: a full-size chunk of two rows takes 18 MB in float32.
constexpr int kTimeChunkSteps = 32;

}  // namespace

Conditioning::Conditioning(const UNet2DConditionModel& unet, torch::Tensor image_embeddings,
                           std::vector<float> timesteps)
    : image_embeddings_(std::move(image_embeddings)),
      timesteps_(std::move(timesteps)),
      context_(unet.encode_context(image_embeddings_)) {}

torch::Tensor Conditioning::NetworkInput(const torch::Tensor& latents) const {
  return latents.expand({rows(), -1, -1, -1});
}

Conditioning::TimeSlice Conditioning::TimeAt(const UNet2DConditionModel& unet, int step) {
  const int begin = step - step % kTimeChunkSteps;
  if (begin != chunk_begin_) {
    const int end = std::min(begin + kTimeChunkSteps, static_cast<int>(timesteps_.size()));
    const torch::Tensor timesteps =
        torch::tensor(std::vector<float>(timesteps_.begin() + begin, timesteps_.begin() + end));
    time_chunk_ = unet.encode_time(timesteps.to(image_embeddings_.device()), image_embeddings_);
    chunk_begin_ = begin;
  }
  return {&time_chunk_, step - begin};
}

}  // namespace kandinsky
