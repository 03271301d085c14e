#include "pipeline/capabilities.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace kandinsky {
namespace {

using ::testing::ElementsAre;

Capabilities WithNetworks(const std::vector<std::string>& networks) {
  Capabilities capabilities;
  capabilities.networks = networks;
  return capabilities;
}

TEST(OfferedTasks, AreThoseOfTheNetworksAndThoseThatNeedNone) {
  EXPECT_THAT(OfferedTasks(WithNetworks({"decoder"})),
              ElementsAre("text_to_image", "image_to_image", "embed_text", "embed_image", "embed_prompt",
                          "encode_latents", "decode_latents"));
  EXPECT_THAT(OfferedTasks(WithNetworks({"inpaint", "controlnet_depth"})),
              ElementsAre("inpaint", "control_net", "embed_text", "embed_image", "embed_prompt",
                          "encode_latents", "decode_latents"));
}

TEST(OfferedTasks, EmbedNoImageWithoutAnImageEncoder) {
  Capabilities capabilities = WithNetworks({});
  capabilities.has_image_encoder = false;
  EXPECT_THAT(OfferedTasks(capabilities),
              ElementsAre("embed_text", "embed_prompt", "encode_latents", "decode_latents"));
}

TEST(DefaultRequestTest, HasTheDefaultsOfTheModel) {
  Capabilities capabilities;
  capabilities.defaults = {.width = 768,
                           .height = 640,
                           .steps = 30,
                           .guidance_scale = 1.5f,
                           .prior_steps = 5,
                           .prior_guidance_scale = 2.5f};
  const GenerationRequest request = DefaultRequest(capabilities, {});
  EXPECT_EQ(request.width, 768);
  EXPECT_EQ(request.height, 640);
  EXPECT_EQ(request.steps, 30);
  EXPECT_EQ(request.guidance_scale, 1.5f);
  EXPECT_EQ(request.prior_steps, 5);
  EXPECT_EQ(request.prior_guidance_scale, 2.5f);
}

TEST(DefaultRequestTest, ObeysTheLimitsOfModelAndOperator) {
  Capabilities capabilities;
  capabilities.max_steps = 40;
  capabilities.max_prior_steps = 20;
  GenerationRequest request =
      DefaultRequest(capabilities, {.max_size = 300, .max_steps = 45, .max_prior_steps = 10});
  EXPECT_EQ(request.width, 256) << "the largest multiple of 64 within the limit";
  EXPECT_EQ(request.height, 256);
  EXPECT_EQ(request.steps, 40);
  EXPECT_EQ(request.prior_steps, 10);
  capabilities.size_multiple = 96;
  EXPECT_EQ(DefaultRequest(capabilities, {}).width, 480);
}

TEST(SizeTest, IsAMultipleWithinTheLimit) {
  Capabilities capabilities;
  capabilities.size_multiple = 16;
  const RequestLimits limits = {.max_size = 40};
  for (const auto& [edge, allowed] :
       {std::pair{-16, false}, {0, false}, {15, false}, {16, true}, {32, true}, {40, false}, {48, false}}) {
    EXPECT_EQ(AllowsSize(capabilities, limits, edge), allowed) << edge;
  }
  EXPECT_EQ(SizeRule(capabilities, limits), "must be a multiple of 16 from 16 to 40 pixels");
}

TEST(SizeTest, NoLimitForbidsTheSmallestOfTheModel) {
  Capabilities capabilities;
  capabilities.size_multiple = 128;
  const RequestLimits limits = {.max_size = 64};
  EXPECT_TRUE(AllowsSize(capabilities, limits, DefaultRequest(capabilities, limits).width));
  EXPECT_EQ(SizeRule(capabilities, limits), "must be a multiple of 128 from 128 to 128 pixels");
}

}  // namespace
}  // namespace kandinsky
