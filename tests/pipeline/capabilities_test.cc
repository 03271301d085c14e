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
              ElementsAre("text_to_image", "image_to_image", "mix", "embed_text", "embed_image",
                          "embed_prompt", "encode_latents", "decode_latents"));
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

}  // namespace
}  // namespace kandinsky
