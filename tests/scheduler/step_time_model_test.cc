#include "scheduler/step_time_model.h"

#include <gtest/gtest.h>

namespace kandinsky {
namespace {

BatchKey Key(Stage stage, int height = 0, int width = 0, bool guided = false) {
  BatchKey key;
  key.guided = guided;
  key.stage = stage;
  key.latent_height = height;
  key.latent_width = width;
  return key;
}

BatchKey EncodeKey(EncodeNetwork network, int height = 0, int width = 0) {
  BatchKey key = Key(Stage::kEncode, height, width);
  key.network = EncodeNetworkName(network);
  return key;
}

// `steps` denoise steps at a latent size.
RemainingWork Denoise(int steps, int height, int width, bool guided = false) {
  return {
      .steps = {0, 0, steps, 0}, .latent_height = height, .latent_width = width, .decoder_guided = guided};
}

RemainingWork Prior(int steps, bool guided) { return {.steps = {0, steps, 0, 0}, .prior_guided = guided}; }

TEST(StepTimeModelTest, IsZeroBeforeAnyMeasurement) {
  const StepTimeModel model;
  EXPECT_EQ(model.ElapsedTime(WorkOf(GenerationRequest(), 8)), absl::ZeroDuration());
  EXPECT_EQ(model.DeviceTime(WorkOf(GenerationRequest(), 8)), absl::ZeroDuration());
}

TEST(StepTimeModelTest, ElapsedTimeCountsWholeStepsAndDeviceTimeTheShareOfARow) {
  StepTimeModel model;
  model.Record(Key(Stage::kDenoise, 64, 64), 4, absl::Seconds(2));
  EXPECT_EQ(model.ElapsedTime(Denoise(10, 64, 64)), absl::Seconds(20));
  EXPECT_EQ(model.DeviceTime(Denoise(10, 64, 64)), absl::Seconds(5));
}

TEST(StepTimeModelTest, AveragesExponentially) {
  StepTimeModel model(0.25);
  model.Record(Key(Stage::kDenoise, 64, 64), 1, absl::Seconds(4));
  model.Record(Key(Stage::kDenoise, 64, 64), 1, absl::Seconds(8));
  EXPECT_EQ(model.ElapsedTime(Denoise(1, 64, 64)), absl::Seconds(5));
}

TEST(StepTimeModelTest, KeepsSizesApart) {
  StepTimeModel model;
  model.Record(Key(Stage::kDenoise, 64, 64), 1, absl::Seconds(1));
  model.Record(Key(Stage::kDenoise, 96, 96), 1, absl::Seconds(9));
  EXPECT_EQ(model.ElapsedTime(Denoise(1, 64, 64)), absl::Seconds(1));
  EXPECT_EQ(model.ElapsedTime(Denoise(1, 96, 96)), absl::Seconds(9));
}

TEST(StepTimeModelTest, ScalesAnUnmeasuredSizeByArea) {
  StepTimeModel model;
  model.Record(Key(Stage::kDenoise, 64, 64), 1, absl::Seconds(1));
  EXPECT_EQ(model.ElapsedTime(Denoise(1, 64, 128)), absl::Seconds(2));
}

TEST(StepTimeModelTest, ScalesFromTheSizeNearestInArea) {
  StepTimeModel model;
  model.Record(Key(Stage::kDenoise, 32, 32), 1, absl::Seconds(100));
  model.Record(Key(Stage::kDenoise, 96, 96), 1, absl::Seconds(9));
  model.Record(Key(Stage::kDenoise, 128, 128), 1, absl::Seconds(100));
  EXPECT_EQ(model.ElapsedTime(Denoise(1, 96, 64)), absl::Seconds(6));  // 1.5 times smaller than 96 x 96
  EXPECT_EQ(model.ElapsedTime(Denoise(1, 64, 64)), absl::Seconds(4));  // 2.25 times, 32 x 32 is 4 times
}

TEST(StepTimeModelTest, TheSameAreaInAnotherShapeIsNearerThanAnotherArea) {
  StepTimeModel model;
  model.Record(Key(Stage::kDenoise, 64, 80), 1, absl::Seconds(100));
  model.Record(Key(Stage::kDenoise, 96, 64), 1, absl::Seconds(3));
  EXPECT_EQ(model.ElapsedTime(Denoise(1, 64, 96)), absl::Seconds(3));
}

TEST(StepTimeModelTest, WhatItTakesForAnUnmeasuredSizeDoesNotDependOnTheOrderOfMeasurements) {
  StepTimeModel up;
  StepTimeModel down;
  for (int edge = 16; edge <= 256; edge += 16) {
    up.Record(Key(Stage::kDenoise, edge, edge), 1, absl::Seconds(edge));
    down.Record(Key(Stage::kDenoise, 272 - edge, 272 - edge), 1, absl::Seconds(272 - edge));
  }
  for (int edge = 8; edge <= 300; ++edge) {
    EXPECT_EQ(up.ElapsedTime(Denoise(1, edge, edge)), down.ElapsedTime(Denoise(1, edge, edge)));
  }
}

TEST(StepTimeModelTest, KeepsGuidedAndUnguidedStepsApart) {
  StepTimeModel model;
  model.Record(Key(Stage::kDenoise, 64, 64, true), 1, absl::Seconds(5));
  model.Record(Key(Stage::kDenoise, 64, 64, false), 1, absl::Seconds(3));
  EXPECT_EQ(model.ElapsedTime(Denoise(1, 64, 64, true)), absl::Seconds(5));
  EXPECT_EQ(model.ElapsedTime(Denoise(1, 64, 64, false)), absl::Seconds(3));
}

TEST(StepTimeModelTest, AGuidedStepCountsAsTwoUntilItIsMeasured) {
  StepTimeModel model;
  model.Record(Key(Stage::kDenoise, 64, 64, false), 2, absl::Seconds(3));
  EXPECT_EQ(model.ElapsedTime(Denoise(1, 64, 64, true)), absl::Seconds(6));
  EXPECT_EQ(model.DeviceTime(Denoise(1, 64, 64, true)), absl::Seconds(3));
}

TEST(StepTimeModelTest, AnUnguidedStepCountsAsHalfUntilItIsMeasured) {
  StepTimeModel model;
  model.Record(Key(Stage::kDenoise, 64, 64, true), 1, absl::Seconds(6));
  model.Record(Key(Stage::kPrior, 0, 0, true), 1, absl::Seconds(2));
  EXPECT_EQ(model.ElapsedTime(Denoise(1, 64, 64, false)), absl::Seconds(3));
  EXPECT_EQ(model.ElapsedTime(Prior(1, false)), absl::Seconds(1));
}

TEST(StepTimeModelTest, TheNearerSizeCountsMoreThanTheSameGuidance) {
  StepTimeModel model;
  model.Record(Key(Stage::kDenoise, 64, 64, true), 1, absl::Seconds(4));
  model.Record(Key(Stage::kDenoise, 128, 128, false), 1, absl::Seconds(100));
  EXPECT_EQ(model.ElapsedTime(Denoise(1, 64, 64, false)), absl::Seconds(2));
}

TEST(StepTimeModelTest, APriorThatIsMeasuredWithoutGuidanceServesBoth) {
  StepTimeModel model;
  model.Record(Key(Stage::kPrior), 1, absl::Seconds(2));
  EXPECT_EQ(model.ElapsedTime(Prior(3, true)), absl::Seconds(6));
  model.Record(Key(Stage::kPrior, 0, 0, true), 1, absl::Seconds(5));
  EXPECT_EQ(model.ElapsedTime(Prior(3, true)), absl::Seconds(15));
  EXPECT_EQ(model.ElapsedTime(Prior(3, false)), absl::Seconds(6));
}

TEST(StepTimeModelTest, DecodeStepsHaveNoGuidance) {
  StepTimeModel model;
  model.Record(Key(Stage::kDecode, 64, 64), 1, absl::Seconds(2));
  EXPECT_EQ(model.ElapsedTime(
                {.steps = {0, 0, 0, 1}, .latent_height = 64, .latent_width = 64, .decoder_guided = true}),
            absl::Seconds(2));
}

TEST(StepTimeModelTest, EncodeAndPriorDoNotDependOnTheSize) {
  StepTimeModel model;
  model.Record(EncodeKey(EncodeNetwork::kText), 1, absl::Seconds(3));
  model.Record(Key(Stage::kPrior), 2, absl::Seconds(4));
  const RemainingWork work = {.steps = {1, 5, 0, 0},
                              .encode_networks = {EncodeNetwork::kText},
                              .latent_height = 96,
                              .latent_width = 64};
  EXPECT_EQ(model.ElapsedTime(work), absl::Seconds(3 + 5 * 4));
  EXPECT_EQ(model.DeviceTime(work), absl::Seconds(3 + 5 * 2));
}

TEST(StepTimeModelTest, KeepsTheNetworksOfTheEncodeStageApart) {
  StepTimeModel model;
  model.Record(EncodeKey(EncodeNetwork::kText), 1, absl::Seconds(1));
  model.Record(EncodeKey(EncodeNetwork::kImage), 1, absl::Seconds(20));
  model.Record(EncodeKey(EncodeNetwork::kLatents, 64, 64), 1, absl::Seconds(300));
  RemainingWork work = {.steps = {2, 0, 0, 0},
                        .encode_networks = {EncodeNetwork::kText, EncodeNetwork::kImage},
                        .latent_height = 64,
                        .latent_width = 64};
  EXPECT_EQ(model.ElapsedTime(work), absl::Seconds(21));
  work.encode_networks = {EncodeNetwork::kText, EncodeNetwork::kLatents};
  EXPECT_EQ(model.ElapsedTime(work), absl::Seconds(301));
}

TEST(StepTimeModelTest, EncodingLatentsGrowsWithTheArea) {
  StepTimeModel model;
  model.Record(EncodeKey(EncodeNetwork::kLatents, 64, 64), 1, absl::Seconds(2));
  const RemainingWork work = {.steps = {1, 0, 0, 0},
                              .encode_networks = {EncodeNetwork::kLatents},
                              .latent_height = 64,
                              .latent_width = 128};
  EXPECT_EQ(model.ElapsedTime(work), absl::Seconds(4));
}

TEST(StepTimeModelTest, NoOtherNetworkStandsForAnUnmeasuredOneOfTheEncodeStage) {
  StepTimeModel model;
  model.Record(EncodeKey(EncodeNetwork::kImage), 1, absl::Seconds(20));
  const RemainingWork work = {.steps = {1, 0, 0, 0}, .encode_networks = {EncodeNetwork::kPreparation}};
  EXPECT_EQ(model.ElapsedTime(work), absl::ZeroDuration());
}

TEST(RemainingWorkTest, OfAWholeRequestCountsEveryStage) {
  GenerationRequest request;
  request.width = 768;
  request.height = 512;
  request.prior_steps = 5;
  request.steps = 30;
  const RemainingWork work = WorkOf(request, 8);
  EXPECT_EQ(work.steps, (std::array<int, 4>{1, 5, 30, 1}));
  EXPECT_EQ(work.latent_width, 96);
  EXPECT_EQ(work.latent_height, 64);
  EXPECT_EQ(WorkOf(request, 4).latent_width, 192);
  EXPECT_EQ(WorkOf(request, 4).latent_height, 128);
}

TEST(RemainingWorkTest, GuidanceScalesAboveOneMeanGuidance) {
  GenerationRequest request;
  request.guidance_scale = 1;
  request.prior_guidance_scale = 1.5f;
  EXPECT_FALSE(WorkOf(request, 8).decoder_guided);
  EXPECT_TRUE(WorkOf(request, 8).prior_guided);
  request.guidance_scale = 4;
  request.prior_guidance_scale = 0;
  const RemainingWork left =
      WorkAfter(WorkOf(request, 8), {.stage = Stage::kDenoise, .step = 1, .total_steps = 5});
  EXPECT_TRUE(left.decoder_guided);
  EXPECT_FALSE(left.prior_guided);
}

TEST(RemainingWorkTest, HasNoDecodeStepWithoutAnImage) {
  GenerationRequest request;
  request.output.image = false;
  EXPECT_EQ(WorkOf(request, 8).steps[3], 0);
}

TEST(RemainingWorkTest, HasTheStepsThatStrengthLeaves) {
  GenerationRequest request;
  request.task = ImageToImage{.init = {.image = nullptr, .strength = 0.3}};
  EXPECT_EQ(WorkOf(request, 8).steps, (std::array<int, 4>{2, 25, 15, 1}));
}

TEST(RemainingWorkTest, HasNoPriorStepsWithAnImageEmbedding) {
  GenerationRequest request;
  request.image_embedding = std::make_shared<const FloatTensor>();
  EXPECT_EQ(WorkOf(request, 8).steps, (std::array<int, 4>{1, 0, 50, 1}));
}

TEST(RemainingWorkTest, KeepsTheEncodeNetworksThatAreLeft) {
  GenerationRequest request;
  request.task = ImageToImage{.init = {.image = nullptr, .strength = 1}};
  const auto left = [&](Stage stage, int step) {
    return WorkAfter(WorkOf(request, 8),
                     {.stage = stage, .step = step, .total_steps = stage == Stage::kEncode ? 2 : 25})
        .encode_networks;
  };
  using Networks = std::vector<EncodeNetwork>;
  EXPECT_EQ(left(Stage::kEncode, 0), (Networks{EncodeNetwork::kText, EncodeNetwork::kLatents}));
  EXPECT_EQ(left(Stage::kEncode, 1), Networks{EncodeNetwork::kLatents});
  EXPECT_EQ(left(Stage::kPrior, 0), Networks{});
}

TEST(RemainingWorkTest, ShrinksWithProgress) {
  GenerationRequest request;
  request.prior_steps = 5;
  request.steps = 30;
  const auto left = [&](Stage stage, int step, int total) {
    return WorkAfter(WorkOf(request, 8), {.stage = stage, .step = step, .total_steps = total}).steps;
  };
  EXPECT_EQ(left(Stage::kPrior, 2, 5), (std::array<int, 4>{0, 3, 30, 1}));
  EXPECT_EQ(left(Stage::kDenoise, 29, 30), (std::array<int, 4>{0, 0, 1, 1}));
  EXPECT_EQ(left(Stage::kDone, 0, 0), (std::array<int, 4>{0, 0, 0, 0}));
}

}  // namespace
}  // namespace kandinsky
