// What a request gives has the same bits whatever it is batched with: alone = batched = joined midway =
// split.
#include <ATen/Parallel.h>
#include <gtest/gtest.h>

#include <cstdlib>
#include <random>

#include "tests/pipeline/kandinsky22/networks/pipeline_test_support.h"

namespace kandinsky {
namespace {

class BatchIndependenceTest : public ::testing::Test {
 protected:
  // Two of one model: what the one has encoded in a batch is no help to the other.
  struct Pipelines {
    explicit Pipelines(const Task& task)
        : batched(LoadGoldenPipelineFor(task)), alone(LoadGoldenPipelineFor(task)) {}
    std::unique_ptr<LoadedPipeline> batched;
    std::unique_ptr<LoadedPipeline> alone;
  };

  static void ExpectSameAsAlone(const Pipelines& pipelines, const std::vector<GenerationRequest>& requests,
                                const std::vector<int>& joins, size_t max_rows) {
    const std::vector<GenerationResult> batched = RunBatched(*pipelines.batched, requests, joins, max_rows);
    ASSERT_EQ(batched.size(), requests.size());
    for (size_t i = 0; i < requests.size(); ++i) {
      EXPECT_TRUE(SameBits(batched[i], RunAlone(*pipelines.alone, requests[i])))
          << TaskName(requests[i].task) << ", request " << i << " of " << requests.size() << ", " << max_rows
          << " at once, seed " << requests[i].seed;
    }
  }

  const Pipelines pipelines_ = Pipelines(TextToImage{});
};

TEST_F(BatchIndependenceTest, DifferentSeedsGiveDifferentImages) {
  GenerationRequest other = TinyRequest(2);
  other.seed = 4;
  EXPECT_GT(
      RelativeDifference(RunAlone(*pipelines_.alone, TinyRequest(2)), RunAlone(*pipelines_.alone, other)),
      1e-2);
}

TEST_F(BatchIndependenceTest, BatchedFromTheStartEqualsAlone) {
  ExpectSameAsAlone(pipelines_, {TinyRequest(0), TinyRequest(1), TinyRequest(2), TinyRequest(3)},
                    {0, 0, 0, 0}, 4);
}

TEST_F(BatchIndependenceTest, JoiningMidwayEqualsAlone) {
  ExpectSameAsAlone(pipelines_, {TinyRequest(0), TinyRequest(1), TinyRequest(2)}, {0, 5, 7}, 4);
}

TEST_F(BatchIndependenceTest, OneByFourEqualsTwoByTwoEqualsFourByOne) {
  const std::vector<GenerationRequest> requests = {TinyRequest(10), TinyRequest(11), TinyRequest(12),
                                                   TinyRequest(13)};
  for (const size_t max_rows : {4u, 2u, 1u}) ExpectSameAsAlone(pipelines_, requests, {0, 0, 0, 0}, max_rows);
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
  ExpectSameAsAlone(pipelines_, requests, {0, 0, 0, 0, 0, 0}, 8);
}

// Different tasks that share a network share its steps.
TEST_F(BatchIndependenceTest, EveryTaskAmongTheOthersEqualsAlone) {
  const std::vector<Task> networks = {TextToImage{}, Inpaint{}, ControlNet{}};
  for (const Task& task : networks) {
    const Pipelines pipelines(task);
    SCOPED_TRACE(NetworkNames(pipelines.alone->capabilities()));
    const std::vector<GenerationRequest> requests = TinyTaskRequests(pipelines.alone->capabilities());
    std::vector<int> joins(requests.size(), 0);
    for (size_t i = 0; i < joins.size(); i += 3) joins[i] = static_cast<int>(i);
    for (const size_t max_rows : {16u, 3u}) ExpectSameAsAlone(pipelines, requests, joins, max_rows);
  }
}

// Eight requests of any tasks of the network, which differ in everything that requests may differ in.
std::vector<GenerationRequest> RandomMix(const Capabilities& capabilities, std::mt19937& random) {
  const auto pick = [&](size_t count) { return static_cast<int>(random() % count); };
  static constexpr SamplerKind kSamplers[] = {SamplerKind::kModelDefault,
                                              SamplerKind::kDdim,
                                              SamplerKind::kEuler,
                                              SamplerKind::kEulerAncestral,
                                              SamplerKind::kDdpmLearnedRange,
                                              SamplerKind::kDpmSolverMultistep};
  static const std::vector<std::string> kPrompts = {"", "red cat, 4k photo", "a house",
                                                    "low quality, blurry"};
  const std::vector<GenerationRequest> forms = TinyTaskRequests(capabilities);
  std::vector<GenerationRequest> requests;
  while (requests.size() < 8) {
    GenerationRequest request = forms[static_cast<size_t>(pick(forms.size()))];
    request.seed = random();
    request.steps = 3 + pick(4);
    request.prior_steps = 2 + pick(3);
    request.guidance_scale = pick(3) == 0 ? 1.0f : 4.0f;
    request.prior_guidance_scale = pick(3) == 0 ? 1.0f : 4.0f;
    const std::string& prompt = kPrompts[static_cast<size_t>(1 + pick(kPrompts.size() - 1))];
    if (!request.prompt.empty()) request.prompt = prompt;
    if (pick(2) == 0 && !request.image_embedding && !std::holds_alternative<EmbedText>(request.task))
      request.negative_prompt = kPrompts[static_cast<size_t>(pick(kPrompts.size()))];
    if (MakesImage(request.task)) request.sampler = kSamplers[pick(std::size(kSamplers))];
    // Not those whose images have a size already; two sizes, so that steps are shared.
    if (std::holds_alternative<TextToImage>(request.task) && pick(2) == 0) request.width = 128;
    requests.push_back(std::move(request));
  }
  return requests;
}

TEST_F(BatchIndependenceTest, TheNumberOfThreadsChangesNothing) {
  const int threads = at::get_num_threads();
  for (const Task& task : std::vector<Task>{TextToImage{}, Inpaint{}, ControlNet{}}) {
    const std::vector<GenerationRequest> requests =
        TinyTaskRequests(LoadGoldenPipelineFor(task)->capabilities());
    const std::vector<int> joins(requests.size(), 0);
    // A new pipeline, which encodes the texts anew.
    const auto run = [&](int count) {
      const auto pipeline = LoadGoldenPipelineFor(task);
      at::set_num_threads(count);
      return RunBatched(*pipeline, requests, joins, 8);
    };
    const std::vector<GenerationResult> expected = run(1);
    for (const int count : {2, 3}) {
      const std::vector<GenerationResult> actual = run(count);
      for (size_t i = 0; i < requests.size(); ++i) {
        EXPECT_TRUE(SameBits(actual[i], expected[i]))
            << TaskName(requests[i].task) << ", request " << i << ", " << count << " threads";
      }
    }
  }
  at::set_num_threads(threads);
}

// KANDINSKY_MIXES: how many mixes of eight per network.
TEST_F(BatchIndependenceTest, HoldsForRandomMixesOfEight) {
  const char* mixes = std::getenv("KANDINSKY_MIXES");
  const std::vector<Task> networks = {TextToImage{}, Inpaint{}, ControlNet{}};
  std::mt19937 random(7);
  for (const Task& task : networks) {
    const Pipelines pipelines(task);
    SCOPED_TRACE(NetworkNames(pipelines.alone->capabilities()));
    for (int mix = mixes == nullptr ? 3 : std::atoi(mixes); mix > 0; --mix) {
      const std::vector<GenerationRequest> requests = RandomMix(pipelines.alone->capabilities(), random);
      std::vector<int> joins = {0};
      while (joins.size() < requests.size()) joins.push_back(static_cast<int>(random() % 6));
      at::set_num_threads(1 + static_cast<int>(random() % 3));
      ExpectSameAsAlone(pipelines, requests, joins, 2 + random() % 7);
    }
  }
  at::set_num_threads(1);
}

}  // namespace
}  // namespace kandinsky
