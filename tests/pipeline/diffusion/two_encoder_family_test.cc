#include "tests/pipeline/diffusion/two_encoder_family.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>

#include "tests/pipeline/kandinsky22/networks/pipeline_test_support.h"

namespace kandinsky {
namespace {

using ::testing::ElementsAre;
using ::testing::Field;
using ::testing::IsEmpty;

GenerationRequest Prompt(const std::string& prompt, uint64_t seed) {
  GenerationRequest request;
  request.prompt = prompt;
  request.width = 32;
  request.height = 24;
  request.steps = 4;
  request.prior_steps = 0;
  request.prior_guidance_scale = 0;
  request.seed = seed;
  request.output.latents = true;
  return request;
}

// The model is the same for all tests.
LoadedPipeline& Pipeline() {
  static LoadedPipeline* const pipeline = new LoadedPipeline(*LoadTwoEncoderModel());
  return *pipeline;
}

TEST(TwoEncoderFamilyTest, AnImageGoesThroughBothEncodersAndNoPrior) {
  const LoadedModel loaded = *LoadTwoEncoderModel();
  const GenerationRequest request = Prompt("a cat", 1);
  EXPECT_THAT(loaded.model->Check(request, RequestLimits()), IsEmpty());
  std::vector<std::string> networks;
  for (const PlannedPhase& phase : loaded.model->PlanOf(request).phases)
    networks.push_back(phase.key.network);
  EXPECT_THAT(networks, ElementsAre("text_encoder", "text_encoder_2", "decoder", "movq"));
  const GenerationResult result = RunAlone(Pipeline(), request);
  EXPECT_EQ(result.latents->shape, (std::vector<int64_t>{4, 12, 16}));
  EXPECT_EQ(result.image->width, 32);
  EXPECT_EQ(result.image->height, 24);
}

TEST(TwoEncoderFamilyTest, PromptNegativePromptAndGuidanceCount) {
  const GenerationResult plain = RunAlone(Pipeline(), Prompt("a cat", 1));
  EXPECT_TRUE(SameBits(plain, RunAlone(Pipeline(), Prompt("a cat", 1))));
  EXPECT_FALSE(SameBits(plain, RunAlone(Pipeline(), Prompt("a dog", 1))));
  GenerationRequest negative = Prompt("a cat", 1);
  negative.negative_prompt = "fog";
  EXPECT_FALSE(SameBits(plain, RunAlone(Pipeline(), negative)));
  GenerationRequest unguided = Prompt("a cat", 1);
  unguided.guidance_scale = 1;
  EXPECT_FALSE(SameBits(plain, RunAlone(Pipeline(), unguided)));
}

TEST(TwoEncoderFamilyTest, ABatchGivesTheBitsOfEachAlone) {
  std::vector<GenerationRequest> requests = {Prompt("a cat", 1), Prompt("a dog", 2), Prompt("a cat", 3)};
  requests[1].negative_prompt = "fog";
  requests[2].steps = 6;
  const std::vector<GenerationResult> together = RunBatched(Pipeline(), requests, {0, 1, 2}, 8);
  ASSERT_EQ(together.size(), requests.size());
  for (size_t i = 0; i < requests.size(); ++i) {
    EXPECT_TRUE(SameBits(together[i], RunAlone(Pipeline(), requests[i]))) << i;
  }
}

TEST(TwoEncoderFamilyTest, ALongTextIsReportedAsTheEncodersCutIt) {
  std::string text;
  for (int i = 0; i < 100; ++i) text += "cat ";
  const auto sample = Pipeline().Admit(Prompt(text, 1));
  ASSERT_TRUE(sample.ok()) << sample.status();
  ASSERT_EQ((*sample)->prompt_tokens().size(), 1u);
  EXPECT_EQ((*sample)->prompt_tokens()[0].field, "prompt");
  EXPECT_EQ((*sample)->prompt_tokens()[0].kept_tokens, 77);
  EXPECT_GT((*sample)->prompt_tokens()[0].tokens, 100);
}

TEST(TwoEncoderFamilyTest, WhatNeedsAPriorIsRefusedByItsField) {
  const LoadedModel loaded = *LoadTwoEncoderModel();
  GenerationRequest request = Prompt("a cat", 1);
  request.prior_steps = 5;
  request.prior_guidance_scale = 2;
  request.negative_prior_prompt = "fog";
  std::vector<std::string> fields;
  for (const Violation& violation : loaded.model->Check(request, RequestLimits())) {
    fields.push_back(violation.field);
  }
  EXPECT_THAT(fields, ElementsAre("negative_prior_prompt", "prior_steps", "prior_guidance_scale"));
}

}  // namespace
}  // namespace kandinsky
