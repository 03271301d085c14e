// A depth network whose MOVQ halves images twice: the hint is larger than the image.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <filesystem>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "pipeline/hint_size.h"
#include "tests/pipeline/kandinsky22/networks/pipeline_test_support.h"
#include "tests/pipeline/kandinsky22/networks/small_latent_cells.h"
#include "tests/training/temporary_folder.h"

namespace kandinsky {
namespace {

namespace fs = std::filesystem;
using ::testing::ElementsAre;
using ::testing::HasSubstr;

constexpr int kSize = 64;

GenerationRequest Following(const SharedFloatTensor& hint) {
  GenerationRequest request = TinyRequest(1);
  request.task = ControlNet{.hint = hint, .init = std::nullopt};
  return request;
}

// What the steps of a sample that follows a hint take more than those of one that does not.
int64_t HintMemory(LoadedPipeline& depth, int edge) {
  auto admitted = depth.Admit(Following(TestTensor({3, edge, edge}, 1)));
  EXPECT_TRUE(admitted.ok()) << admitted.status();
  Sample* sample = admitted->get();
  int64_t before = 0;
  int64_t last = 0;
  while (sample->stage() != Stage::kDenoise) {
    before = std::exchange(last, sample->step_cost().memory_bytes);
    EXPECT_TRUE(depth.Step({&sample, 1}).ok());
  }
  return last - before;
}

class HintSizeTest : public ::testing::Test {
 protected:
  static void SetUpTestSuite() {
    const testing::TemporaryFolder folder;
    fs::copy(GoldenDirectory() + "/models/depth", folder.path(), fs::copy_options::recursive);
    testing::MakeLatentCellsSmaller(folder.path());
    pipeline_ = LoadPipeline(folder.path()).release();
  }
  static void TearDownTestSuite() {
    delete pipeline_;
    pipeline_ = nullptr;
  }

  static LoadedPipeline* pipeline_;
};

LoadedPipeline* HintSizeTest::pipeline_ = nullptr;

TEST_F(HintSizeTest, EveryDepthTaskMakesAImageOfTheRequestsSize) {
  const std::vector<GenerationRequest> requests = TinyTaskRequests(pipeline_->capabilities());
  EXPECT_THAT(std::get<ControlNet>(requests.front().task).hint->shape, ElementsAre(3, 128, 128));
  for (const GenerationRequest& request : requests) {
    const GenerationResult result = RunAlone(*pipeline_, request);
    EXPECT_EQ(result.image->width, kSize);
    EXPECT_EQ(result.image->height, kSize);
    EXPECT_THAT(result.latents->shape, ElementsAre(4, kSize / 4, kSize / 4));
  }
}

TEST_F(HintSizeTest, TheHintMatters) {
  const int edge = HintEdge(kSize, pipeline_->capabilities().latent_scale);
  const GenerationResult one = RunAlone(*pipeline_, Following(TestTensor({3, edge, edge}, 1)));
  const GenerationResult other = RunAlone(*pipeline_, Following(TestTensor({3, edge, edge}, 2)));
  EXPECT_GT(RelativeDifference(one, other), 1e-3);
}

TEST_F(HintSizeTest, AHintOfTheImagesSizeIsRefused) {
  const auto refused = pipeline_->Admit(Following(TestTensor({3, kSize, kSize}, 1))).status();
  EXPECT_EQ(refused.code(), absl::StatusCode::kInvalidArgument);
  EXPECT_THAT(std::string(refused.message()), HasSubstr("hint has the wrong shape"));
}

TEST_F(HintSizeTest, MemoryGoesByThePixelsOfTheHint) {
  const auto published = LoadGoldenPipelineFor(ControlNet{});
  const int64_t of_64 = HintMemory(*published, kSize);
  EXPECT_GT(of_64, 0);
  EXPECT_EQ(HintMemory(*pipeline_, HintEdge(kSize, 4)), 4 * of_64);
}

}  // namespace
}  // namespace kandinsky
