// An image does not depend on what it is batched with: alone = batched = joined midway = split.
#include <gtest/gtest.h>

#include <random>

#include "tests/pipeline/kandinsky/pipeline_test_support.h"

namespace kandinsky {
namespace {

constexpr double kTolerance = 1e-5;

class BatchIndependenceTest : public ::testing::Test {
 protected:
  static void SetUpTestSuite() { pipeline_ = LoadGoldenPipeline().release(); }
  static void TearDownTestSuite() {
    delete pipeline_;
    pipeline_ = nullptr;
  }

  void ExpectSameAsAlone(const std::vector<GenerationRequest>& requests, const std::vector<int>& joins,
                         size_t max_rows) {
    const std::vector<GenerationResult> batched = RunBatched(*pipeline_, requests, joins, max_rows);
    ASSERT_EQ(batched.size(), requests.size());
    for (size_t i = 0; i < requests.size(); ++i) {
      const GenerationResult alone = RunAlone(*pipeline_, requests[i]);
      EXPECT_LE(RelativeDifference(batched[i], alone), kTolerance) << "request " << i;
      EXPECT_EQ(batched[i].image.has_value(), alone.image.has_value());
    }
  }

  static Pipeline* pipeline_;
};

Pipeline* BatchIndependenceTest::pipeline_ = nullptr;

TEST_F(BatchIndependenceTest, DifferentSeedsGiveDifferentImages) {
  GenerationRequest other = TinyRequest(2);
  other.seed = 4;
  EXPECT_GT(RelativeDifference(RunAlone(*pipeline_, TinyRequest(2)), RunAlone(*pipeline_, other)), 1e-2);
}

TEST_F(BatchIndependenceTest, BatchedFromTheStartEqualsAlone) {
  ExpectSameAsAlone({TinyRequest(0), TinyRequest(1), TinyRequest(2), TinyRequest(3)}, {0, 0, 0, 0}, 4);
}

TEST_F(BatchIndependenceTest, JoiningMidwayEqualsAlone) {
  ExpectSameAsAlone({TinyRequest(0), TinyRequest(1), TinyRequest(2)}, {0, 5, 7}, 4);
}

TEST_F(BatchIndependenceTest, OneByFourEqualsTwoByTwoEqualsFourByOne) {
  const std::vector<GenerationRequest> requests = {TinyRequest(10), TinyRequest(11), TinyRequest(12),
                                                   TinyRequest(13)};
  for (const size_t max_rows : {4u, 2u, 1u}) ExpectSameAsAlone(requests, {0, 0, 0, 0}, max_rows);
}

TEST_F(BatchIndependenceTest, NegativePromptsAndUnguidedPriorsMix) {
  std::vector<GenerationRequest> requests(6);
  for (size_t i = 0; i < requests.size(); ++i) requests[i] = TinyRequest(20 + i);
  requests[1].negative_prompt = "low quality";
  requests[2].negative_prompt = "";
  requests[3].prior_guidance_scale = 1.0f;
  requests[4].prior_guidance_scale = 1.0f;
  requests[4].negative_prompt = "blurry";
  requests[5].sampler = SamplerKind::kDdim;
  ExpectSameAsAlone(requests, {0, 0, 0, 0, 0, 0}, 8);
}

// Different tasks that share a network share its steps.
TEST(TaskBatchIndependenceTest, EveryTaskAmongTheOthersEqualsAlone) {
  const std::vector<Task> networks = {TextToImage{}, Inpaint{}, ControlNet{}};
  for (const Task& task : networks) {
    const auto pipeline = LoadGoldenPipelineFor(task);
    SCOPED_TRACE(pipeline->capabilities().network);
    std::vector<GenerationRequest> requests = TinyTaskRequests(pipeline->capabilities());
    std::vector<int> joins(requests.size(), 0);
    for (size_t i = 0; i < joins.size(); i += 3) joins[i] = static_cast<int>(i);
    std::vector<GenerationResult> alone;
    for (const GenerationRequest& request : requests) alone.push_back(RunAlone(*pipeline, request));
    for (const size_t max_rows : {16u, 3u}) {
      const std::vector<GenerationResult> batched = RunBatched(*pipeline, requests, joins, max_rows);
      ASSERT_EQ(batched.size(), requests.size());
      for (size_t i = 0; i < requests.size(); ++i) {
        EXPECT_LE(RelativeDifference(batched[i], alone[i]), kTolerance)
            << TaskName(requests[i].task) << ", request " << i << ", " << max_rows << " rows";
      }
    }
  }
}

TEST_F(BatchIndependenceTest, HoldsForRandomMixes) {
  std::mt19937 random(7);
  const auto pick = [&](int count) { return static_cast<int>(random() % static_cast<unsigned>(count)); };
  for (int round = 0; round < 8; ++round) {
    std::vector<GenerationRequest> requests;
    std::vector<int> joins;
    const int count = 2 + pick(4);
    for (int i = 0; i < count; ++i) {
      GenerationRequest request = TinyRequest(random());
      request.width = 64 + 32 * pick(2);
      request.guidance_scale = pick(3) == 0 ? 1.0f : 4.0f;
      request.prior_guidance_scale = pick(3) == 0 ? 1.0f : 4.0f;
      if (pick(2) == 0) request.negative_prompt = pick(2) == 0 ? "" : "low quality";
      request.sampler = pick(2) == 0 ? SamplerKind::kDdim : SamplerKind::kModelDefault;
      requests.push_back(request);
      joins.push_back(i == 0 ? 0 : pick(8));
    }
    ExpectSameAsAlone(requests, joins, static_cast<size_t>(1 + pick(4)));
  }
}

}  // namespace
}  // namespace kandinsky
