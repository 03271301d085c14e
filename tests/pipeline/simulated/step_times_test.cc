#include "pipeline/simulated/step_times.h"

#include <gtest/gtest.h>

#include "pipeline/kandinsky22/request_plan.h"

namespace kandinsky {
namespace {

constexpr SimulatedStepTimes kTimes = {.encode_ms = 1,
                                       .encode_row_ms = 2,
                                       .prior_ms = 3,
                                       .prior_row_ms = 4,
                                       .denoise_ms = 5,
                                       .denoise_row_ms = 6,
                                       .decode_ms = 7,
                                       .decode_row_ms = 8};

BatchKey Key(Stage stage, bool guided = false, int latent_height = 0, int latent_width = 0) {
  BatchKey key;
  key.stage = stage;
  key.guided = guided;
  key.latent_height = latent_height;
  key.latent_width = latent_width;
  return key;
}

TEST(SimulatedStepTime, IsAPartOfTheStepAndAPartOfEachRow) {
  EXPECT_EQ(SimulatedStepTime(kTimes, Key(Stage::kEncode), 1), absl::Milliseconds(1 + 2));
  EXPECT_EQ(SimulatedStepTime(kTimes, Key(Stage::kEncode), 4), absl::Milliseconds(1 + 4 * 2));
  EXPECT_EQ(SimulatedStepTime(kTimes, Key(Stage::kPrior), 3), absl::Milliseconds(3 + 3 * 4));
  EXPECT_EQ(SimulatedStepTime(kTimes, Key(Stage::kDenoise, true, 64, 64), 2), absl::Milliseconds(5 + 2 * 6));
  EXPECT_EQ(SimulatedStepTime(kTimes, Key(Stage::kDecode, false, 64, 64), 2), absl::Milliseconds(7 + 2 * 8));
}

TEST(SimulatedStepTime, CountsARowWithoutGuidanceHalfWhereGuidanceExists) {
  EXPECT_EQ(SimulatedStepTime(kTimes, Key(Stage::kDenoise, false, 64, 64), 2), absl::Milliseconds(5 + 2 * 3));
}

TEST(SimulatedStepTime, OfEncodingDependsOnTheNetwork) {
  BatchKey key = Key(Stage::kEncode, false, 64, 64);
  key.network = kMovqEncoder;
  EXPECT_EQ(SimulatedStepTime(kTimes, key, 2),
            SimulatedStepTime(kTimes, Key(Stage::kDecode, false, 64, 64), 2));
  key = Key(Stage::kEncode);
  key.network = kNoNetwork;
  EXPECT_EQ(SimulatedStepTime(kTimes, key, 2), absl::ZeroDuration());
}

TEST(SimulatedStepTime, GrowsWithTheAreaOfTheLatents) {
  EXPECT_EQ(SimulatedStepTime(kTimes, Key(Stage::kDenoise, true, 128, 128), 1),
            absl::Milliseconds(5 + 4 * 6));
  EXPECT_EQ(SimulatedStepTime(kTimes, Key(Stage::kDenoise, true, 32, 64), 1), absl::Milliseconds(5 + 3));
  EXPECT_EQ(SimulatedStepTime(kTimes, Key(Stage::kDecode, false, 128, 64), 1), absl::Milliseconds(7 + 16));
}

TEST(SimulatedStepTime, MakesLargerBatchesPayByDefault) {
  const SimulatedStepTimes defaults;
  for (const Stage stage : {Stage::kEncode, Stage::kPrior, Stage::kDenoise, Stage::kDecode}) {
    const BatchKey key = Key(stage, true, 64, 64);
    EXPECT_LT(SimulatedStepTime(defaults, key, 8), 8 * SimulatedStepTime(defaults, key, 1));
  }
}

TEST(SimulatedStepTime, IsZeroWhenNothingIsLeftToDo) {
  EXPECT_EQ(SimulatedStepTime(kTimes, Key(Stage::kDone), 1), absl::ZeroDuration());
}

}  // namespace
}  // namespace kandinsky
