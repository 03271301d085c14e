#include "pipeline/kandinsky/request_check.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <functional>

#include "tests/pipeline/kandinsky/pipeline_test_support.h"

namespace kandinsky {
namespace {

using ::testing::HasSubstr;

Capabilities Tiny(const std::string& network) {
  Capabilities capabilities;
  capabilities.network = network;
  capabilities.embedding_dim = 32;
  capabilities.clip_image_size = 28;
  capabilities.latent_scale = 8;
  capabilities.size_multiple = 64;
  return capabilities;
}

std::string Refusal(const std::string& network, const GenerationRequest& request) {
  const absl::Status status = CheckRequest(Tiny(network), request);
  EXPECT_NE(status.code(), absl::StatusCode::kInternal);
  return std::string(status.message());
}

TEST(RequestCheckTest, AcceptsEveryTaskOfItsNetwork) {
  for (const char* network : {"decoder", "inpaint", "controlnet_depth"}) {
    for (const GenerationRequest& request : TinyTaskRequests(Tiny(network))) {
      EXPECT_EQ(CheckRequest(Tiny(network), request), absl::OkStatus()) << network << TaskName(request.task);
    }
  }
}

TEST(RequestCheckTest, RefusesTheTasksOfOtherNetworks) {
  for (const char* network : {"decoder", "inpaint", "controlnet_depth"}) {
    for (const char* other : {"decoder", "inpaint", "controlnet_depth"}) {
      if (std::string(network) == other) continue;
      for (const GenerationRequest& request : TinyTaskRequests(Tiny(other))) {
        if (!MakesImage(request.task)) continue;
        EXPECT_THAT(Refusal(network, request), HasSubstr("does not do this task"));
      }
    }
  }
}

TEST(RequestCheckTest, RefusesInputsOfAnotherSize) {
  GenerationRequest request = TinyRequest(1);
  request.task = ImageToImage{{TestPicture(64, 32, 3, 1), 0.5f}};
  EXPECT_THAT(Refusal("decoder", request), HasSubstr("image must have"));
  request.task = ImageToImage{{TestPicture(64, 64, 1, 1), 0.5f}};
  EXPECT_THAT(Refusal("decoder", request), HasSubstr("3 channels"));
  request.task = ImageToImage{{nullptr, 0.5f}};
  EXPECT_THAT(Refusal("decoder", request), HasSubstr("image must have"));
  request.task = Inpaint{.image = TestPicture(64, 64, 3, 1), .mask = TestPicture(32, 64, 1, 1)};
  EXPECT_THAT(Refusal("inpaint", request), HasSubstr("mask must have"));
  request.task = ControlNet{.hint = TestTensor({3, 64, 32}, 1), .init = std::nullopt};
  EXPECT_THAT(Refusal("controlnet_depth", request), HasSubstr("hint has the wrong shape"));
  request.task = DecodeLatents{TestTensor({4, 8, 4}, 1)};
  EXPECT_THAT(Refusal("decoder", request), HasSubstr("latents has the wrong shape"));
  request.task = Mix{{{TestPicture(64, 64, 3, 1), 1.0f}}};
  EXPECT_THAT(Refusal("decoder", request), HasSubstr("28x28"));
  request.task = TextToImage{};
  request.image_embedding = TestTensor({31}, 1);
  EXPECT_THAT(Refusal("decoder", request), HasSubstr("image_embedding"));
}

TEST(RequestCheckTest, RefusesStrengthsThatLeaveNoStep) {
  GenerationRequest request = TinyRequest(1);
  request.steps = 4;
  for (const float strength : {0.0f, -1.0f, 1.5f, 0.2f, std::nanf("")}) {
    request.task = ImageToImage{{TestPicture(64, 64, 3, 1), strength}};
    EXPECT_THAT(Refusal("decoder", request), HasSubstr("strength")) << strength;
  }
}

TEST(RequestCheckTest, RefusesPicturesToEmbedWithoutAnImageEncoder) {
  Capabilities capabilities = Tiny("decoder");
  capabilities.has_image_encoder = false;
  GenerationRequest request = TinyRequest(1);
  request.task = EmbedImage{TestPicture(28, 28, 3, 1)};
  EXPECT_THAT(std::string(CheckRequest(capabilities, request).message()), HasSubstr("image encoder"));
}

TEST(RequestCheckTest, RefusesAMixOfNothing) {
  GenerationRequest request = TinyRequest(1);
  request.task = Mix{};
  EXPECT_THAT(Refusal("decoder", request), HasSubstr("at least one part"));
}

}  // namespace
}  // namespace kandinsky
