#include "config/config_fields.h"

#include <gtest/gtest.h>

#include <limits>

#include "kandinsky/v1/training_config.pb.h"

namespace kandinsky {
namespace {

constexpr FieldRange kRanges[] = {
    {"threads", 0, 8}, {"snr_gamma", 0.5, 2.5}, {"lora.rank", 1, 4}, {"max_steps", 1, 1e9}};

std::string RangeError(const v1::TrainingConfig& config) {
  return std::string(CheckRanges(kRanges, config).message());
}

TEST(CheckRangesTest, BoundsAreInside) {
  v1::TrainingConfig config;
  config.set_threads(8);
  config.set_snr_gamma(0.5);
  config.mutable_lora()->set_rank(1);
  EXPECT_EQ(RangeError(config), "");
}

TEST(CheckRangesTest, NamesFieldValueAndLimits) {
  v1::TrainingConfig config;
  config.set_threads(9);
  EXPECT_EQ(RangeError(config), "threads is 9, must be 0 to 8");
  config.set_threads(0);
  config.set_max_steps(1'000'000'001);
  EXPECT_EQ(RangeError(config), "max_steps is 1000000001, must be 1 to 1000000000");
  config.set_snr_gamma(2.75);
  EXPECT_EQ(RangeError(config), "snr_gamma is 2.75, must be 0.5 to 2.5");
}

TEST(CheckRangesTest, ANumberThatIsNoneIsOutside) {
  v1::TrainingConfig config;
  for (const double value :
       {std::numeric_limits<double>::quiet_NaN(), std::numeric_limits<double>::infinity()}) {
    config.set_snr_gamma(value);
    EXPECT_NE(RangeError(config), "");
  }
}

TEST(CheckRangesTest, AFieldWithoutAValueIsInOrder) {
  v1::TrainingConfig config;
  EXPECT_EQ(RangeError(config), "");
  config.mutable_lora();
  EXPECT_EQ(RangeError(config), "");
  config.mutable_lora()->set_rank(0);
  EXPECT_EQ(RangeError(config), "lora.rank is 0, must be 1 to 4");
}

TEST(FindFieldTest, FindsThroughGroups) {
  v1::TrainingConfig config;
  const auto place = FindField("optimizer.learning_rate", config);
  ASSERT_TRUE(place.ok()) << place.status();
  EXPECT_EQ(SetField(*place, "0.5"), absl::OkStatus());
  EXPECT_EQ(config.optimizer().learning_rate(), 0.5);
  for (const char* path : {"", ".", "optimizer.", "optimizer..kind", "optimizer"}) {
    EXPECT_EQ(FindField(path, config).status().code(), absl::StatusCode::kInvalidArgument) << path;
  }
}

}  // namespace
}  // namespace kandinsky
