// Numbers at the bounds of Model::Check and value_range.h give finite results: no request that is accepted
// ends in an error of the networks.
#include <gtest/gtest.h>

#include <memory>

#include "pipeline/value_range.h"
#include "tests/pipeline/kandinsky22/networks/pipeline_test_support.h"

namespace kandinsky {
namespace {

constexpr float kEmbeddingBound = kEmbeddingRange.max;
constexpr float kLatentBound = kLatentRange.max;
constexpr float kGuidanceBound = 100;
constexpr float kWeightBound = 100;
constexpr size_t kMixBound = 16;
constexpr SamplerKind kSamplers[] = {
    SamplerKind::kDdpm,  SamplerKind::kDdim,           SamplerKind::kDdpmLearnedRange,
    SamplerKind::kEuler, SamplerKind::kEulerAncestral, SamplerKind::kDpmSolverMultistep};

// `bound` with the signs of `pattern`: all positive, or alternating.
SharedFloatTensor AtBound(std::vector<int64_t> shape, float bound, int pattern) {
  auto tensor = std::make_shared<FloatTensor>(*TestTensor(std::move(shape), 1));
  for (size_t i = 0; i < tensor->values.size(); ++i)
    tensor->values[i] = pattern == 1 && i % 2 == 1 ? -bound : bound;
  return tensor;
}

void ExpectResult(LoadedPipeline& pipeline, const GenerationRequest& request) {
  SCOPED_TRACE(testing::Message() << TaskName(request.task) << ", sampler "
                                  << static_cast<int>(request.sampler));
  const auto admitted = pipeline.Admit(request);
  ASSERT_TRUE(admitted.ok()) << admitted.status();
  Sample* sample = admitted->get();
  while (sample->stage() != Stage::kDone) {
    const absl::Status status = pipeline.Step({&sample, 1});
    ASSERT_TRUE(status.ok()) << status;
  }
  EXPECT_TRUE(sample->TakeResult().ok());
}

GenerationRequest StronglyGuided(Task task, SamplerKind sampler) {
  GenerationRequest request = TinyRequest(1);
  request.task = std::move(task);
  request.sampler = sampler;
  request.guidance_scale = kGuidanceBound;
  request.prior_guidance_scale = kGuidanceBound;
  request.eta = sampler == SamplerKind::kDdim ? 1 : 0;
  request.steps = 20;
  return request;
}

class LargestNumbersTest : public testing::Test {
 protected:
  const std::unique_ptr<LoadedPipeline> pipeline_ = LoadGoldenPipeline();

  SharedFloatTensor Embedding(int pattern) const {
    return AtBound({pipeline_->capabilities().embedding_dim}, kEmbeddingBound, pattern);
  }
};

TEST_F(LargestNumbersTest, OfEmbeddingsAndGuidanceTogether) {
  for (const SamplerKind sampler : kSamplers) {
    for (const int pattern : {0, 1}) {
      GenerationRequest request = StronglyGuided(TextToImage(), sampler);
      request.prompt.clear();
      request.image_embedding = Embedding(pattern);
      ExpectResult(*pipeline_, request);
      request.negative_image_embedding = Embedding(1 - pattern);
      ExpectResult(*pipeline_, request);
    }
  }
}

TEST_F(LargestNumbersTest, OfMixes) {
  for (const float sign : {1.0f, -1.0f}) {
    GenerationRequest request = StronglyGuided(TextToImage(), SamplerKind::kModelDefault);
    request.prompt.clear();
    std::vector<MixPart>& parts = request.mix.emplace().parts;
    for (size_t i = 0; i < kMixBound; ++i) {
      const float weight = i % 2 == 0 ? kWeightBound : sign * kWeightBound;
      parts.push_back({.content = Embedding(static_cast<int>(i % 2)), .weight = weight});
    }
    ExpectResult(*pipeline_, request);
    for (MixPart& part : parts) part.content = "a red cat";
    request.sampler = SamplerKind::kEuler;
    ExpectResult(*pipeline_, request);
  }
}

TEST_F(LargestNumbersTest, OfThePriorsStart) {
  for (const double strength : {0.05, 0.5, 1.0}) {
    for (const Task& task : {Task(TextToImage()), Task(EmbedPrompt())}) {
      GenerationRequest request = StronglyGuided(task, SamplerKind::kModelDefault);
      request.prior_steps = 25;
      request.negative_prompt = "";
      request.prior_start = PriorStart{.from = Embedding(1), .strength = strength};
      ExpectResult(*pipeline_, request);
    }
  }
}

TEST_F(LargestNumbersTest, OfLatents) {
  const int64_t side = 64 / pipeline_->capabilities().latent_scale;
  for (const int pattern : {0, 1}) {
    GenerationRequest request = TinyRequest(1);
    request.task = DecodeLatents{.latents = AtBound({4, side, side}, kLatentBound, pattern)};
    request.output = {.image = true, .latents = false, .pixels = true};
    ExpectResult(*pipeline_, request);
  }
}

TEST(LargestNumbersOfOtherNetworksTest, OfEmbeddingsAndGuidance) {
  for (const Task& network : {Task(Inpaint()), Task(ControlNet())}) {
    const auto pipeline = LoadGoldenPipelineFor(network);
    const Capabilities& capabilities = pipeline->capabilities();
    for (GenerationRequest request : TinyTaskRequests(capabilities)) {
      request.guidance_scale = kGuidanceBound;
      request.prior_guidance_scale = kGuidanceBound;
      request.image_embedding = AtBound({capabilities.embedding_dim}, kEmbeddingBound, 0);
      request.negative_image_embedding = AtBound({capabilities.embedding_dim}, kEmbeddingBound, 1);
      request.prompt.clear();
      request.mix.reset();
      request.negative_prompt.reset();
      request.negative_prior_prompt.reset();
      ExpectResult(*pipeline, request);
    }
  }
}

TEST(SeedsTest, ThatAreEqualModulo2To32GiveTheSameImage) {
  const auto pipeline = LoadGoldenPipeline();
  GenerationRequest request = TinyRequest(5);
  const GenerationResult low = RunAlone(*pipeline, request);
  for (const uint64_t high : {uint64_t{1}, uint64_t{0x89ABCDEF}, uint64_t{0xFFFFFFFF}}) {
    request.seed = high << 32 | 5;
    EXPECT_EQ(MainTensor(RunAlone(*pipeline, request)).values, MainTensor(low).values) << request.seed;
  }
  request.seed = 6;
  EXPECT_NE(MainTensor(RunAlone(*pipeline, request)).values, MainTensor(low).values);
}

}  // namespace
}  // namespace kandinsky
