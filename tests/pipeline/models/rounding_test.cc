#include <ATen/ATen.h>
#include <gtest/gtest.h>

#include <cmath>

#include "pipeline/models/unet_2d_condition_model.h"
#include "pipeline/models/vq_model.h"
#include "tests/pipeline/models/model_test_support.h"

// The fast forms of the layers (channels_last, prepared for inference) round as little as PyTorch's
// operations on the default memory format, which is what diffusers computes. The parity tests compare with
// diffusers itself.

namespace kandinsky {
namespace {

using testing::ChannelsLast;
using testing::RandomizeParameters;
using testing::RandomTensor;
using testing::RelativeL2;

constexpr uint64_t kCases = 8;
constexpr double kMaxRatio = 1.2;

// The geometric mean, over random weights and inputs, of the error of the prepared network in channels_last
// by that of the plain one, both against double precision. run(network, seed, prepare) computes with inputs
// in the dtype and memory format that `prepare` gives them.
template <typename Module, typename Config, typename Run>
double RatioOfErrors(const Config& config, const Run& run) {
  double log_ratio = 0;
  for (uint64_t seed = 1; seed <= kCases; ++seed) {
    Module network(config);
    RandomizeParameters(network, seed);
    const torch::Tensor plain = run(network, seed, [](const torch::Tensor& x) { return x; });
    Module exact(config);
    RandomizeParameters(exact, seed);
    exact.to(at::kDouble);
    const torch::Tensor expected = run(exact, seed, [](const torch::Tensor& x) { return x.to(at::kDouble); });
    PrepareForInference(network);
    const at::NoGradGuard no_grad;
    const torch::Tensor prepared = run(network, seed, [](const torch::Tensor& x) { return ChannelsLast(x); });
    log_ratio += std::log(RelativeL2(prepared, expected) / RelativeL2(plain, expected));
  }
  return std::exp(log_ratio / kCases);
}

TEST(RoundingTest, APreparedUNetIsAsCloseToDoublePrecisionAsAPlainOne) {
  UNet2DConditionConfig config;
  config.block_out_channels = {32, 64};
  config.down_block_types = {"ResnetDownsampleBlock2D", "SimpleCrossAttnDownBlock2D"};
  config.up_block_types = {"SimpleCrossAttnUpBlock2D", "ResnetUpsampleBlock2D"};
  config.layers_per_block = 1;
  config.norm_num_groups = 16;
  config.attention_head_dim = 16;
  config.cross_attention_dim = 16;
  config.encoder_hid_dim = 24;
  ASSERT_TRUE(config.Validate().ok());
  const double ratio = RatioOfErrors<UNet2DConditionModel>(config, [](const UNet2DConditionModel& unet,
                                                                      uint64_t seed, const auto& prepare) {
    const torch::Tensor embeds = RandomTensor({2, 24}, seed + 100).to(unet.conv_in->bias.scalar_type());
    return unet.forward(prepare(RandomTensor({2, 4, 8, 12}, seed)), torch::tensor({977.0F, 31.0F}), embeds);
  });
  EXPECT_LE(ratio, kMaxRatio);
}

TEST(RoundingTest, APreparedAutoencoderIsAsCloseToDoublePrecisionAsAPlainOne) {
  VQModelConfig config;
  config.block_out_channels = {32, 64};
  config.down_block_types = {"DownEncoderBlock2D", "AttnDownEncoderBlock2D"};
  config.up_block_types = {"AttnUpDecoderBlock2D", "UpDecoderBlock2D"};
  config.layers_per_block = 1;
  config.num_vq_embeddings = 8;
  ASSERT_TRUE(config.Validate().ok());
  EXPECT_LE(RatioOfErrors<VQModel>(config,
                                   [](const VQModel& movq, uint64_t seed, const auto& prepare) {
                                     return movq.encode(prepare(RandomTensor({1, 3, 32, 48}, seed)));
                                   }),
            kMaxRatio);
  EXPECT_LE(RatioOfErrors<VQModel>(config,
                                   [](const VQModel& movq, uint64_t seed, const auto& prepare) {
                                     return movq.decode(prepare(RandomTensor({1, 4, 12, 8}, seed)));
                                   }),
            kMaxRatio);
}

}  // namespace
}  // namespace kandinsky
