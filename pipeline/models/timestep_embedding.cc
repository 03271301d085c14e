#include "pipeline/models/timestep_embedding.h"

#include <cmath>

namespace kandinsky {

torch::Tensor TimestepFeatures(const torch::Tensor& timesteps, const TimestepFeatureOptions& options) {
  const int64_t half = options.channels / 2;
  const auto float_options = timesteps.options().dtype(at::kFloat);
  // The order of these float32 operations is the published one: at t = 999 another order moves the result by
  // more than the rounding of the network itself.
  const torch::Tensor exponent = at::arange(0, half, float_options) * -std::log(10000.0);
  const torch::Tensor frequencies = at::exp(exponent / (static_cast<double>(half) - options.freq_shift));
  const torch::Tensor angles = timesteps.to(at::kFloat).unsqueeze(1) * frequencies.unsqueeze(0);
  const torch::Tensor sine = SineOf(angles);
  const torch::Tensor cosine = CosineOf(angles);
  return options.flip_sin_to_cos ? at::cat({cosine, sine}, 1) : at::cat({sine, cosine}, 1);
}

TimestepEmbedding::TimestepEmbedding(int64_t in_channels, int64_t time_embed_dim)
    : linear_1(register_module("linear_1", std::make_shared<Linear>(in_channels, time_embed_dim))),
      linear_2(register_module("linear_2", std::make_shared<Linear>(time_embed_dim, time_embed_dim))) {}

torch::Tensor TimestepEmbedding::forward(const torch::Tensor& features) const {
  const torch::Tensor x = features.to(linear_1->weight.scalar_type());
  return linear_2->forward(SiluOf(linear_1->forward(x)));
}

}  // namespace kandinsky
