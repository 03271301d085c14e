#include "server/step_metrics.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <prometheus/text_serializer.h>

#include <set>

namespace kandinsky::server {
namespace {

using testing::HasSubstr;

class StepMetricsTest : public testing::Test {
 protected:
  std::string Text() const { return prometheus::TextSerializer().Serialize(registry_.Collect()); }

  static StepRecord Denoise(int rows) {
    StepRecord record;
    record.key.stage = Stage::kDenoise;
    record.key.latent_height = record.key.latent_width = 64;
    record.rows = rows;
    record.duration = absl::Milliseconds(2);
    return record;
  }

  prometheus::Registry registry_;
  StepMetrics metrics_{registry_, absl::Minutes(10)};
};

TEST_F(StepMetricsTest, CountStepsByStageFromZero) {
  metrics_.Record(Denoise(3));
  metrics_.Record(Denoise(2));
  const std::string text = Text();
  EXPECT_THAT(text, HasSubstr("kandinsky_steps_total{stage=\"denoise\"} 2\n"));
  EXPECT_THAT(text, HasSubstr("kandinsky_steps_total{stage=\"decode\"} 0\n"));
  EXPECT_THAT(text, HasSubstr("kandinsky_batch_rows_sum 5\n"));
  EXPECT_THAT(text, HasSubstr("kandinsky_step_duration_seconds_count{size=\"512\",stage=\"denoise\"} 2\n"));
  EXPECT_THAT(
      text,
      HasSubstr("kandinsky_step_duration_seconds_bucket{size=\"512\",stage=\"denoise\",le=\"0.0025\"} 2\n"));
}

TEST_F(StepMetricsTest, NameTheSizeByTheModelsLatentScale) {
  metrics_.SetLatentScale(4);
  metrics_.Record(Denoise(1));
  EXPECT_THAT(Text(), HasSubstr("kandinsky_step_duration_seconds_count{size=\"256\",stage=\"denoise\"} 1\n"));
}

TEST_F(StepMetricsTest, TellStepsThatRanOutOfMemoryFromBatchesThatWereSplit) {
  StepRecord record = Denoise(4);
  record.status = absl::ResourceExhaustedError("no memory");
  metrics_.Record(record);
  record.rows = 1;  // nothing to split
  metrics_.Record(record);
  record.status = absl::InternalError("broken");
  metrics_.Record(record);
  EXPECT_THAT(Text(), HasSubstr("kandinsky_oom_total{stage=\"denoise\"} 2\n"));
  EXPECT_THAT(Text(), HasSubstr("kandinsky_batch_split_total{stage=\"denoise\"} 1\n"));
  EXPECT_THAT(Text(), HasSubstr("kandinsky_steps_total{stage=\"denoise\"} 3\n"));
}

TEST_F(StepMetricsTest, CountCapsThatWereRaised) {
  StepRecord record = Denoise(4);
  metrics_.Record(record);
  EXPECT_THAT(Text(), HasSubstr("kandinsky_memory_cap_raised_total 0\n"));
  record.cap_raised = true;
  metrics_.Record(record);
  EXPECT_THAT(Text(), HasSubstr("kandinsky_memory_cap_raised_total 1\n"));
}

TEST_F(StepMetricsTest, AddUpWhyImagesWereLeftOut) {
  StepRecord record = Denoise(1);
  record.not_merged[static_cast<size_t>(NotMergedReason::kAlone)] = 1;
  metrics_.Record(record);
  record.not_merged = {};
  record.not_merged[static_cast<size_t>(NotMergedReason::kSize)] = 3;
  record.not_merged[static_cast<size_t>(NotMergedReason::kPixelLimit)] = 2;
  metrics_.Record(record);
  metrics_.Record(record);
  const std::string text = Text();
  for (const char* line : {"kandinsky_not_merged_reason_total{reason=\"alone\"} 1\n",
                           "kandinsky_not_merged_reason_total{reason=\"size\"} 6\n",
                           "kandinsky_not_merged_reason_total{reason=\"pixel_limit\"} 4\n",
                           "kandinsky_not_merged_reason_total{reason=\"network\"} 0\n",
                           "kandinsky_batch_close_reason_total{reason=\"complete\"} 1\n",
                           "kandinsky_batch_close_reason_total{reason=\"pixel_limit\"} 2\n"}) {
    EXPECT_THAT(text, HasSubstr(line));
  }
}

struct CloseCase {
  std::vector<NotMergedReason> reasons;
  const char* expected;
};

class BatchClose : public testing::TestWithParam<CloseCase> {};

TEST_P(BatchClose, IsNamedAfterTheLimitThatLeftImagesOut) {
  std::array<int, kNotMergedReasons> not_merged = {};
  for (const NotMergedReason reason : GetParam().reasons) not_merged[static_cast<size_t>(reason)] = 1;
  EXPECT_STREQ(BatchCloseReason(not_merged), GetParam().expected);
}

INSTANTIATE_TEST_SUITE_P(
    Reasons, BatchClose,
    testing::Values(CloseCase{{}, "complete"}, CloseCase{{NotMergedReason::kAlone}, "complete"},
                    CloseCase{{NotMergedReason::kStage}, "other_key"},
                    CloseCase{{NotMergedReason::kNetwork}, "other_key"},
                    CloseCase{{NotMergedReason::kSize, NotMergedReason::kRowLimit}, "row_limit"},
                    CloseCase{{NotMergedReason::kPixelLimit}, "pixel_limit"},
                    CloseCase{{NotMergedReason::kGuidance, NotMergedReason::kMemoryLimit}, "memory_limit"},
                    CloseCase{{NotMergedReason::kRowCap}, "row_cap"}));

TEST(SizeLabel, HasFewValues) {
  std::set<std::string> labels;
  for (int height = 8; height <= 256; height += 8) {
    for (int width = 8; width <= 256; width += 8) {
      BatchKey key;
      key.latent_height = height;
      key.latent_width = width;
      labels.insert(SizeLabel(key, 8));
    }
  }
  EXPECT_EQ(labels, (std::set<std::string>{"256", "512", "768", "1024", "1536", "2048"}));
}

TEST(SizeLabel, IsTheSmallestSquareThatHoldsASize) {
  BatchKey key;
  EXPECT_EQ(SizeLabel(key, 8), "none");
  key.latent_height = key.latent_width = 64;
  EXPECT_EQ(SizeLabel(key, 8), "512");
  EXPECT_EQ(SizeLabel(key, 4), "256");
  key.latent_width = 65;
  EXPECT_EQ(SizeLabel(key, 8), "768");
  key.latent_height = key.latent_width = 1024;
  EXPECT_EQ(SizeLabel(key, 8), "larger");
}

}  // namespace
}  // namespace kandinsky::server
