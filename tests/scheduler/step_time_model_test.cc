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

BatchKey EncodeKey(const char* network, int height = 0, int width = 0) {
  BatchKey key = Key(Stage::kEncode, height, width);
  key.network = network;
  return key;
}

// One step with each of `keys`.
RemainingWork StepsWith(const std::vector<BatchKey>& keys) {
  Plan plan;
  for (const BatchKey& key : keys) plan.phases.push_back({.key = key, .steps = 1});
  return RemainingWork(std::make_shared<const Plan>(std::move(plan)));
}

RemainingWork Work(const BatchKey& key, int steps) {
  return RemainingWork(std::make_shared<const Plan>(Plan{{{.key = key, .steps = steps}}}));
}

// `steps` denoise steps at a latent size.
RemainingWork Denoise(int steps, int height, int width, bool guided = false) {
  return Work(Key(Stage::kDenoise, height, width, guided), steps);
}

TEST(StepTimeModelTest, IsZeroBeforeAnyMeasurement) {
  const StepTimeModel model;
  EXPECT_EQ(model.ElapsedTime(Denoise(3, 64, 64)), absl::ZeroDuration());
  EXPECT_EQ(model.DeviceTime(Denoise(3, 64, 64)), absl::ZeroDuration());
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
  EXPECT_EQ(model.ElapsedTime(Denoise(1, 64, 64, false)), absl::Seconds(3));
}

TEST(StepTimeModelTest, TheNearerSizeCountsMoreThanTheSameGuidance) {
  StepTimeModel model;
  model.Record(Key(Stage::kDenoise, 64, 64, true), 1, absl::Seconds(4));
  model.Record(Key(Stage::kDenoise, 128, 128, false), 1, absl::Seconds(100));
  EXPECT_EQ(model.ElapsedTime(Denoise(1, 64, 64, false)), absl::Seconds(2));
}

TEST(StepTimeModelTest, KeepsTheNetworksOfTheEncodeStageApart) {
  StepTimeModel model;
  const BatchKey text = EncodeKey("text_encoder");
  const BatchKey image = EncodeKey("image_encoder");
  const BatchKey latents = EncodeKey("movq_encoder", 64, 64);
  model.Record(text, 1, absl::Seconds(1));
  model.Record(image, 1, absl::Seconds(20));
  model.Record(latents, 1, absl::Seconds(300));
  EXPECT_EQ(model.ElapsedTime(StepsWith({text, image})), absl::Seconds(21));
  EXPECT_EQ(model.ElapsedTime(StepsWith({text, latents})), absl::Seconds(301));
}

TEST(StepTimeModelTest, EncodingLatentsGrowsWithTheArea) {
  StepTimeModel model;
  model.Record(EncodeKey("movq_encoder", 64, 64), 1, absl::Seconds(2));
  EXPECT_EQ(model.ElapsedTime(Work(EncodeKey("movq_encoder", 64, 128), 1)), absl::Seconds(4));
}

TEST(StepTimeModelTest, NoOtherNetworkStandsForAnUnmeasuredOneOfTheEncodeStage) {
  StepTimeModel model;
  model.Record(EncodeKey("image_encoder"), 1, absl::Seconds(20));
  EXPECT_EQ(model.ElapsedTime(Work(EncodeKey("none"), 1)), absl::ZeroDuration());
}

TEST(StepTimeModelTest, AnotherNetworkOfTheStageStandsForAnUnmeasuredOneButTheOwnIsNearer) {
  StepTimeModel model;
  BatchKey other = Key(Stage::kDenoise, 64, 64);
  other.network = "other";
  model.Record(other, 1, absl::Seconds(7));
  EXPECT_EQ(model.ElapsedTime(Denoise(1, 64, 64)), absl::Seconds(7));
  model.Record(Key(Stage::kDenoise, 128, 64), 1, absl::Seconds(4));
  EXPECT_EQ(model.ElapsedTime(Denoise(1, 64, 64)), absl::Seconds(2));
}

TEST(StepTimeModelTest, TheAdapterMakesNoDifference) {
  StepTimeModel model;
  BatchKey adapted = Key(Stage::kDenoise, 64, 64);
  adapted.adapter = "style";
  model.Record(adapted, 1, absl::Seconds(7));
  EXPECT_EQ(model.LeastTime(Denoise(1, 64, 64)), absl::ZeroDuration());
  for (int i = 0; i < 3; ++i) model.Record(Key(Stage::kDenoise, 64, 64), 1, absl::Seconds(7));
  EXPECT_EQ(model.LeastTime(Denoise(1, 64, 64)), absl::Seconds(7));
}

TEST(RemainingWorkTest, CountsTheLastStepsOfThePlan) {
  StepTimeModel model;
  model.Record(EncodeKey("text_encoder"), 1, absl::Seconds(1));
  model.Record(Key(Stage::kPrior), 1, absl::Seconds(10));
  model.Record(Key(Stage::kDecode, 64, 64), 1, absl::Seconds(1000));
  const auto plan = std::make_shared<const Plan>(Plan{{{.key = EncodeKey("text_encoder"), .steps = 1},
                                                       {.key = Key(Stage::kPrior), .steps = 5},
                                                       {.key = Key(Stage::kDecode, 64, 64), .steps = 1}}});
  EXPECT_EQ(model.ElapsedTime(RemainingWork(plan)), absl::Seconds(1051));
  EXPECT_EQ(model.ElapsedTime({plan, 6}), absl::Seconds(1050));
  EXPECT_EQ(model.ElapsedTime({plan, 3}), absl::Seconds(1020));
  EXPECT_EQ(model.ElapsedTime({plan, 1}), absl::Seconds(1000));
  EXPECT_EQ(model.ElapsedTime({plan, 0}), absl::ZeroDuration());
}

}  // namespace
}  // namespace kandinsky
