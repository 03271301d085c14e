#include "training/feature_cache.h"

#include <ATen/ATen.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>
#include <string>
#include <vector>

#include "tests/training/temporary_folder.h"
#include "training/fingerprint.h"

namespace kandinsky::training {
namespace {

namespace fs = std::filesystem;
using ::testing::ElementsAre;

constexpr int64_t kRows = 2 * FeatureCache::kRowsPerFile + 3;

class FeatureCacheTest : public ::testing::Test {
 protected:
  // Row i is [i, i]; its sequence has i % 3 + 1 items, stored up to the longest of the file.
  absl::StatusOr<FeatureCache> Open(const std::string& fingerprint = "a") {
    const auto compute = [this](int64_t begin, int64_t end) -> absl::StatusOr<NamedTensors> {
      computed_.push_back(begin);
      if (begin == fails_at_) return absl::InvalidArgumentError("image 7 is broken");
      const torch::Tensor numbers = at::arange(begin, end, at::kFloat).unsqueeze(1);
      return NamedTensors{{"pair", numbers.expand({-1, 2}).contiguous()},
                          {"sequence", numbers.unsqueeze(2).expand({-1, 3, 1}).contiguous()}};
    };
    return FeatureCache::Open(folder_.path(), fingerprint, kRows, compute, [this](int64_t done, int64_t) {
      progress_.push_back(done);
      return stop_after_ == done ? absl::CancelledError("stopped") : absl::OkStatus();
    });
  }

  const testing::TemporaryFolder folder_;
  std::vector<int64_t> computed_;
  std::vector<int64_t> progress_;
  int64_t fails_at_ = -1;
  int64_t stop_after_ = -1;
};

TEST_F(FeatureCacheTest, GivesTheRowsThatAreAskedFor) {
  const FeatureCache cache = Open().value();
  const torch::Tensor rows = cache.Rows("pair", {0, 300, 514, 300});
  EXPECT_TRUE(at::equal(rows.select(1, 0), torch::tensor({0.f, 300.f, 514.f, 300.f})));
  const torch::Tensor padded = cache.Rows("sequence", {5}, /*length=*/6);
  EXPECT_TRUE(at::equal(padded.flatten(), torch::tensor({5.f, 5.f, 5.f, 0.f, 0.f, 0.f})));
  EXPECT_THAT(progress_, ElementsAre(256, 512, kRows));
}

TEST_F(FeatureCacheTest, ComputesNothingTwice) {
  ASSERT_TRUE(Open().ok());
  ASSERT_TRUE(Open().ok());
  EXPECT_THAT(computed_, ElementsAre(0, 256, 512));
  ASSERT_TRUE(Open("b").ok()) << "another fingerprint is another cache";
  EXPECT_EQ(computed_.size(), 6u);
}

TEST_F(FeatureCacheTest, GoesOnWhereItWasInterrupted) {
  fails_at_ = 256;
  EXPECT_EQ(Open().status().message(), "image 7 is broken");
  fails_at_ = -1;
  ASSERT_TRUE(Open().ok());
  EXPECT_THAT(computed_, ElementsAre(0, 256, 256, 512));
}

TEST_F(FeatureCacheTest, CanBeStoppedAfterEachFile) {
  stop_after_ = 256;
  EXPECT_EQ(Open().status().message(), "stopped");
  stop_after_ = -1;
  ASSERT_TRUE(Open().ok());
  EXPECT_THAT(computed_, ElementsAre(0, 256, 512));
}

TEST_F(FeatureCacheTest, ComputesABrokenFileAgain) {
  ASSERT_TRUE(Open().ok());
  std::ofstream(folder_.path() + "/a/00000256.safetensors") << "not a checkpoint";
  const FeatureCache cache = Open().value();
  EXPECT_THAT(computed_, ElementsAre(0, 256, 512, 256));
  EXPECT_EQ(cache.Rows("pair", {256})[0][0].item<float>(), 256.f);
}

TEST(FingerprintTest, TellsTextsAndFilesApart) {
  const testing::TemporaryFolder folder;
  const std::string file = folder.path() + "/f";
  EXPECT_NE(Fingerprint().Add("ab").Add("c").ToString(), Fingerprint().Add("a").Add("bc").ToString());
  EXPECT_EQ(Fingerprint().Add("ab").ToString(), Fingerprint().Add("ab").ToString());
  const std::string missing = Fingerprint().AddFile(file).ToString();
  std::ofstream(file) << "1";
  const std::string small = Fingerprint().AddFile(file).ToString();
  fs::copy_file(file, file + "2");
  EXPECT_EQ(small, Fingerprint().AddFile(file + "2").ToString()) << "a copy is the same";
  std::ofstream(file) << "12";
  EXPECT_NE(missing, small);
  EXPECT_NE(small, Fingerprint().AddFile(file).ToString());
}

}  // namespace
}  // namespace kandinsky::training
