#include <ATen/ATen.h>

#include <algorithm>
#include <utility>
#include <vector>

#include "pipeline/components/published_networks.h"

namespace kandinsky {
namespace {

// Bounds the memory of a request with many steps: a full-size chunk of two rows takes 18 MB in float32.
constexpr int kTimeChunkSteps = 32;

class UnetState final : public DenoiserState {
 public:
  UnetState(const UNet2DConditionModel& unet, torch::Tensor image_embeddings, std::vector<float> timesteps)
      : image_embeddings_(std::move(image_embeddings)),
        timesteps_(std::move(timesteps)),
        context_(unet.encode_context(image_embeddings_)) {}

  int rows() const override { return static_cast<int>(image_embeddings_.size(0)); }

  // The conditions at a step. The time's part is computed for a chunk of steps at a time: one matrix product
  // per layer instead of one per layer and step.
  UNetConditionRows At(const UNet2DConditionModel& unet, const Placement& placement, int step) {
    const int begin = step - step % kTimeChunkSteps;
    if (begin != chunk_begin_) {
      const int count = std::min(kTimeChunkSteps, static_cast<int>(timesteps_.size()) - begin);
      const torch::Tensor timesteps = placement.Floats(
          absl::MakeConstSpan(timesteps_).subspan(static_cast<size_t>(begin), static_cast<size_t>(count)),
          {count});
      time_chunk_ = unet.encode_time(timesteps, image_embeddings_);
      chunk_begin_ = begin;
    }
    return {&context_, &time_chunk_, step - begin};
  }

 private:
  const torch::Tensor image_embeddings_;  // [rows, embedding_dim]
  const std::vector<float> timesteps_;
  const UNetContext context_;
  UNetTime time_chunk_;
  int chunk_begin_ = -1;  // first step of time_chunk_; -1 before the first call
};

class UnetDenoiser final : public Denoiser {
 public:
  UnetDenoiser(std::shared_ptr<const UNet2DConditionModel> unet, const Placement& placement)
      : unet_(std::move(unet)), placement_(placement) {}

  std::unique_ptr<DenoiserState> Start(DenoiserCondition condition,
                                       const std::vector<float>& timesteps) const override {
    return std::make_unique<UnetState>(*unet_, placement_.ForNetwork(condition.image_embeddings), timesteps);
  }

  torch::Tensor Predict(const torch::Tensor& input, absl::Span<const DenoiserRows> samples) const override {
    std::vector<UNetConditionRows> conditions;
    for (const DenoiserRows& sample : samples) {
      conditions.push_back(static_cast<UnetState*>(sample.state)->At(*unet_, placement_, sample.step));
    }
    const torch::Tensor rows = placement_.ForNetwork(input).contiguous(at::MemoryFormat::ChannelsLast);
    return unet_->forward(rows, AssembleConditions(conditions)).to(torch::kFloat);
  }

  torch::Tensor EncodeHint(const torch::Tensor& hint) const override {
    const torch::Tensor pixels = placement_.ForNetwork(hint).contiguous(at::MemoryFormat::ChannelsLast);
    return unet_->encode_hint(pixels).to(torch::kFloat);
  }

 private:
  const std::shared_ptr<const UNet2DConditionModel> unet_;
  const Placement placement_;
};

class MovqAutoencoder final : public Autoencoder {
 public:
  MovqAutoencoder(std::shared_ptr<const VQModel> movq, const VQModelConfig& config,
                  const Placement& placement)
      : movq_(std::move(movq)),
        scale_(static_cast<int>(config.DownsamplingFactor())),
        latent_channels_(
            static_cast<int>(config.vq_embed_dim == 0 ? config.latent_channels : config.vq_embed_dim)),
        placement_(placement) {}

  int scale() const override { return scale_; }
  int latent_channels() const override { return latent_channels_; }

  torch::Tensor Encode(const torch::Tensor& pixels) const override {
    const torch::Tensor input = placement_.ForNetwork(pixels).contiguous(at::MemoryFormat::ChannelsLast);
    return movq_->encode(input).to(torch::kFloat).contiguous();
  }

  torch::Tensor Decode(const torch::Tensor& latents) const override {
    return movq_->decode(placement_.ForNetwork(latents).contiguous(at::MemoryFormat::ChannelsLast));
  }

 private:
  const std::shared_ptr<const VQModel> movq_;
  const int scale_;
  const int latent_channels_;
  const Placement placement_;
};

}  // namespace

std::shared_ptr<const Denoiser> MakeDenoiser(std::shared_ptr<const UNet2DConditionModel> unet,
                                             const Placement& placement) {
  return std::make_shared<UnetDenoiser>(std::move(unet), placement);
}

std::shared_ptr<const Autoencoder> MakeAutoencoder(std::shared_ptr<const VQModel> movq,
                                                   const VQModelConfig& config, const Placement& placement) {
  return std::make_shared<MovqAutoencoder>(std::move(movq), config, placement);
}

}  // namespace kandinsky
