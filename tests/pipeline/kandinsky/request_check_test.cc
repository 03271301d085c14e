#include "pipeline/kandinsky22/request_check.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <climits>
#include <tuple>

#include "tests/pipeline/kandinsky/pipeline_test_support.h"

namespace kandinsky {
namespace {

using ::testing::HasSubstr;
using ::testing::StartsWith;

Capabilities Tiny(const std::string& network) {
  Capabilities capabilities;
  capabilities.networks = {network};
  capabilities.embedding_dim = 32;
  capabilities.clip_image_size = 28;
  capabilities.latent_scale = 8;
  capabilities.size_multiple = 64;
  capabilities.samplers = {
      SamplerKind::kDdpm,  SamplerKind::kDdim,           SamplerKind::kDdpmLearnedRange,
      SamplerKind::kEuler, SamplerKind::kEulerAncestral, SamplerKind::kDpmSolverMultistep};
  return capabilities;
}

absl::Status CheckAll(const Capabilities& capabilities, const GenerationRequest& request) {
  const absl::Status status = ToStatus(CheckRequest(capabilities, request));
  return status.ok() ? CheckInputs(capabilities, request) : status;
}

std::string Refusal(const std::string& network, const GenerationRequest& request) {
  const absl::Status status = CheckAll(Tiny(network), request);
  EXPECT_EQ(status.code(), absl::StatusCode::kInvalidArgument);
  return std::string(status.message());
}

TEST(RequestCheckTest, AcceptsEveryTaskOfItsNetwork) {
  for (const char* network : {"decoder", "inpaint", "controlnet_depth"}) {
    for (const GenerationRequest& request : TinyTaskRequests(Tiny(network))) {
      EXPECT_EQ(CheckAll(Tiny(network), request), absl::OkStatus()) << network << TaskName(request.task);
    }
  }
}

TEST(RequestCheckTest, RefusesTheTasksOfOtherNetworks) {
  for (const char* network : {"decoder", "inpaint", "controlnet_depth"}) {
    for (const char* other : {"decoder", "inpaint", "controlnet_depth"}) {
      if (std::string(network) == other) continue;
      for (const GenerationRequest& request : TinyTaskRequests(Tiny(other))) {
        if (!MakesImage(request.task)) continue;
        EXPECT_THAT(Refusal(network, request), HasSubstr("needs another network"));
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
  EXPECT_THAT(Refusal("decoder", request), StartsWith("image_embedding"));
  request.image_embedding = nullptr;
  request.negative_image_embedding = TestTensor({33}, 1);
  EXPECT_THAT(Refusal("decoder", request), StartsWith("negative_image_embedding"));
}

TEST(RequestCheckTest, AHintHasEightTimesTheEdgesOfTheLatents) {
  GenerationRequest request = TinyRequest(1);
  request.width = 128;
  for (const auto& [scale, height, width] :
       {std::tuple(8, 64, 128), std::tuple(4, 128, 256), std::tuple(16, 32, 64)}) {
    Capabilities capabilities = Tiny("controlnet_depth");
    capabilities.latent_scale = scale;
    request.task = ControlNet{.hint = TestTensor({3, height, width}, 1), .init = std::nullopt};
    EXPECT_EQ(CheckAll(capabilities, request), absl::OkStatus()) << scale;
    capabilities.latent_scale = scale / 2;
    EXPECT_THAT(std::string(CheckAll(capabilities, request).message()),
                HasSubstr("hint has the wrong shape"));
  }
}

TEST(RequestCheckTest, RefusesAnImageEmbeddingThatNothingReads) {
  GenerationRequest request = TinyRequest(1);
  request.image_embedding = TestTensor({32}, 1);
  for (const Task& task : {Task(EmbedPrompt{}), Task(EmbedText{}), Task(Mix{{{std::string("cat"), 1.0f}}})}) {
    request.task = task;
    EXPECT_THAT(Refusal("decoder", request), HasSubstr("image_embedding does not go")) << TaskName(task);
  }
}

TEST(RequestCheckTest, RefusesAPriorStartWherePriorsDoNotRun) {
  GenerationRequest start = TinyRequest(1);
  start.prior_start = PriorStart{TestPicture(28, 28, 3, 1), 0.5f};
  EXPECT_EQ(CheckAll(Tiny("decoder"), start), absl::OkStatus());
  GenerationRequest request = start;
  request.image_embedding = TestTensor({32}, 1);
  EXPECT_THAT(Refusal("decoder", request), HasSubstr("prior_start"));
  request = start;
  request.negative_prior_prompt = "";
  EXPECT_THAT(Refusal("decoder", request), HasSubstr("prior_start"));
  for (const Task& task : {Task(EmbedText{}), Task(EncodeLatents{TestPicture(64, 64, 3, 1)}),
                           Task(Mix{{{std::string("cat"), 1.0f}}})}) {
    request = start;
    request.task = task;
    EXPECT_THAT(Refusal("decoder", request), HasSubstr("prior_start")) << TaskName(task);
  }
  request = start;
  request.prior_start->strength = 0.01;
  EXPECT_THAT(Refusal("decoder", request), HasSubstr("prior_start.strength"));
  request = start;
  request.prior_start->from = TestPicture(14, 14, 3, 1);
  EXPECT_THAT(Refusal("decoder", request), HasSubstr("prior_start must be an RGB image"));
}

TEST(RequestCheckTest, RefusesPriorStepsOutOfRangeAlsoWhereOnlyTheirNumbersAreDrawn) {
  GenerationRequest request = TinyRequest(1);
  request.task = Mix{{{TestPicture(28, 28, 3, 1), 1.0f}}};
  for (const int steps : {0, 1, 1001, INT_MAX}) {
    request.prior_steps = steps;
    EXPECT_THAT(Refusal("decoder", request), HasSubstr("prior_steps")) << steps;
  }
}

TEST(RequestCheckTest, RefusesASamplerThatIsNotOffered) {
  Capabilities capabilities = Tiny("decoder");
  capabilities.samplers = {SamplerKind::kDdpm};
  GenerationRequest request = TinyRequest(1);
  request.sampler = SamplerKind::kDdpmLearnedRange;
  EXPECT_THAT(std::string(CheckAll(capabilities, request).message()), HasSubstr("sampler"));
}

TEST(RequestCheckTest, RefusesAFeatherOutOfRange) {
  GenerationRequest request = TinyRequest(1);
  Inpaint inpaint = {.image = TestPicture(64, 64, 3, 1), .mask = TestPicture(64, 64, 1, 1)};
  for (const int feather : {-1, 4097}) {
    inpaint.feather = feather;
    request.task = inpaint;
    EXPECT_THAT(Refusal("inpaint", request), HasSubstr("feather")) << feather;
  }
}

TEST(RequestCheckTest, RefusesStrengthsThatLeaveNoStep) {
  GenerationRequest request = TinyRequest(1);
  request.steps = 4;
  for (const double strength : {0.0, -1.0, 1.5, 0.2, std::nan("")}) {
    request.task = ImageToImage{{TestPicture(64, 64, 3, 1), strength}};
    EXPECT_THAT(Refusal("decoder", request), HasSubstr("strength")) << strength;
  }
}

TEST(RequestCheckTest, RefusesPicturesToEmbedWithoutAnImageEncoder) {
  Capabilities capabilities = Tiny("decoder");
  capabilities.has_image_encoder = false;
  GenerationRequest request = TinyRequest(1);
  request.task = EmbedImage{TestPicture(28, 28, 3, 1)};
  EXPECT_THAT(std::string(CheckAll(capabilities, request).message()), HasSubstr("image encoder"));
}

TEST(RequestCheckTest, RefusesAMixOfNothing) {
  GenerationRequest request = TinyRequest(1);
  request.task = Mix{};
  EXPECT_THAT(Refusal("decoder", request), HasSubstr("at least one part"));
}

}  // namespace
}  // namespace kandinsky
