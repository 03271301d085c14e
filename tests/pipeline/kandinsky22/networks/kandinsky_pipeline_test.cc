#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include <cmath>
#include <cstdio>
#include <memory>
#include <string>
#include <vector>

#include "pipeline/kandinsky22/networks/load_kandinsky22.h"
#include "tests/pipeline/kandinsky22/networks/pipeline_test_support.h"

namespace kandinsky {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;

class KandinskyPipelineTest : public ::testing::Test {
 protected:
  static void SetUpTestSuite() { pipeline_ = LoadGoldenPipeline().release(); }
  static void TearDownTestSuite() {
    delete pipeline_;
    pipeline_ = nullptr;
  }

  absl::Status AdmitStatus(const GenerationRequest& request) { return pipeline_->Admit(request).status(); }

  static LoadedPipeline* pipeline_;
};

LoadedPipeline* KandinskyPipelineTest::pipeline_ = nullptr;

TEST_F(KandinskyPipelineTest, DetectsFamilyNetworkAndSamplersFromTheFiles) {
  const Capabilities& capabilities = pipeline_->capabilities();
  EXPECT_EQ(capabilities.model_name, "golden");
  EXPECT_EQ(capabilities.family, "2.2");
  EXPECT_THAT(capabilities.networks, ElementsAre("decoder"));
  EXPECT_EQ(capabilities.device, "cpu");
  EXPECT_EQ(capabilities.dtype, "float32");
  EXPECT_THAT(
      capabilities.samplers,
      ElementsAre(SamplerKind::kDdpm, SamplerKind::kDdim, SamplerKind::kDdpmLearnedRange, SamplerKind::kEuler,
                  SamplerKind::kEulerAncestral, SamplerKind::kDpmSolverMultistep));
  EXPECT_GT(capabilities.weight_bytes, 0);
}

TEST_F(KandinskyPipelineTest, PreviewsTheLatentsWhileItDenoises) {
  GenerationRequest request = TinyRequest(1);
  request.prior_steps = 2;
  request.steps = 3;
  auto admitted = pipeline_->Admit(request);
  ASSERT_TRUE(admitted.ok()) << admitted.status();
  Sample* sample = admitted->get();
  std::vector<Image> previews;
  while (sample->stage() != Stage::kDone) {
    const std::optional<Image> preview = sample->Preview();
    EXPECT_EQ(preview.has_value(), sample->stage() == Stage::kDenoise);
    if (preview.has_value()) previews.push_back(*preview);
    ASSERT_TRUE(pipeline_->Step({&sample, 1}).ok());
  }
  ASSERT_EQ(previews.size(), 3u);
  EXPECT_GT(previews[0].width, 0);
  EXPECT_EQ(request.width % previews[0].width, 0);
  EXPECT_EQ(previews[0].width * request.height, previews[0].height * request.width);
  EXPECT_EQ(previews[0].pixels.size(), static_cast<size_t>(previews[0].width) * previews[0].height * 3);
  EXPECT_NE(previews[0].pixels, previews[2].pixels);
}

TEST_F(KandinskyPipelineTest, EstimatesTheMemoryOfEveryStep) {
  for (const GenerationRequest& request : TinyTaskRequests(pipeline_->capabilities())) {
    auto admitted = pipeline_->Admit(request);
    ASSERT_TRUE(admitted.ok()) << admitted.status();
    Sample* sample = admitted->get();
    while (sample->stage() != Stage::kDone) {
      const StepCost cost = sample->step_cost();
      const bool computes = sample->batch_key().network != "none";
      EXPECT_EQ(cost.memory_bytes > 0, computes) << TaskName(request.task) << sample->batch_key().network;
      EXPECT_EQ(cost.latent_pixels > 0, sample->batch_key().latent_height > 0);
      ASSERT_TRUE(pipeline_->Step({&sample, 1}).ok());
    }
  }
}

TEST_F(KandinskyPipelineTest, AMixCostsMoreThanAPrompt) {
  GenerationRequest mix = TinyRequest(1);
  mix.prompt.clear();
  mix.mix = Mix{{{std::string("one"), 1.0f}, {std::string("two"), 1.0f}, {std::string("three"), 1.0f}}};
  auto one = pipeline_->Admit(TinyRequest(1));
  auto three = pipeline_->Admit(mix);
  ASSERT_TRUE(one.ok() && three.ok());
  for (const Stage stage : {Stage::kEncode, Stage::kPrior}) {
    Sample* const batch[] = {one->get(), three->get()};
    ASSERT_EQ(batch[0]->stage(), stage);
    EXPECT_GT(batch[1]->step_cost().network_rows, batch[0]->step_cost().network_rows);
    EXPECT_GT(batch[1]->step_cost().memory_bytes, batch[0]->step_cost().memory_bytes);
    ASSERT_TRUE(pipeline_->Step(batch).ok());
  }
}

TEST_F(KandinskyPipelineTest, APriorThatOverflowsFailsBeforeTheDenoiseLoop) {
  GenerationRequest request = TinyRequest(1);
  request.task = EmbedPrompt{};
  auto huge = std::make_shared<FloatTensor>();
  huge->shape = {pipeline_->capabilities().embedding_dim};
  huge->values.assign(static_cast<size_t>(huge->shape[0]), 3e38f);
  request.prior_start = PriorStart{ImageEmbedding(huge), 0.7f};
  request.prior_guidance_scale = 1;
  auto admitted = pipeline_->Admit(request);
  ASSERT_TRUE(admitted.ok()) << admitted.status();
  Sample* sample = admitted->get();
  while (sample->stage() != Stage::kDone) ASSERT_TRUE(pipeline_->Step({&sample, 1}).ok());
  EXPECT_EQ(sample->TakeResult().status().code(), absl::StatusCode::kInternal);
}

TEST(WithoutImageEncoderTest, ImagesAreRefusedAndTextToImageIsTheSame) {
  auto loaded = LoadKandinsky({.model_name = "golden",
                               .model_path = GoldenDirectory() + "/models/b",
                               .prior_path = "",
                               .keep_image_encoder = false,
                               .threads = 1},
                              1);
  ASSERT_TRUE(loaded.ok()) << loaded.status();
  LoadedPipeline pipeline(*std::move(loaded));
  const auto complete = LoadGoldenPipeline();
  const Capabilities& capabilities = pipeline.capabilities();
  EXPECT_FALSE(capabilities.has_image_encoder);
  EXPECT_LT(capabilities.weight_bytes, complete->capabilities().weight_bytes);
  GenerationRequest request = TinyRequest(1);
  EXPECT_EQ(RelativeDifference(RunAlone(pipeline, request), RunAlone(*complete, request)), 0);
  const int edge = capabilities.clip_image_size;
  request.task = EmbedImage{TestImage(edge, edge, 3, 1)};
  EXPECT_EQ(pipeline.Admit(request).status().code(), absl::StatusCode::kInvalidArgument);
}

TEST(InpaintPipelineTest, PastedBackPixelsAreTheOriginalsByteForByte) {
  const auto pipeline = LoadGoldenPipelineFor(Inpaint{});
  GenerationRequest request = TinyRequest(1);
  auto mask = std::make_shared<Image>(*TestImage(64, 64, 1, 1));
  for (size_t i = 0; i < mask->pixels.size(); ++i) mask->pixels[i] = i % 64 < 32 ? 0 : 255;
  const InputImage original = TestImage(64, 64, 3, 2);
  Inpaint inpaint = {.image = original, .mask = mask};
  request.task = inpaint;
  const Image plain = *RunAlone(*pipeline, request).image;
  inpaint.paste_back = true;
  request.task = inpaint;
  const Image pasted = *RunAlone(*pipeline, request).image;
  inpaint.feather = 4;
  request.task = inpaint;
  const Image feathered = *RunAlone(*pipeline, request).image;
  int changed_by_autoencoder = 0;
  int faded = 0;
  for (size_t i = 0; i < pasted.pixels.size(); ++i) {
    const bool kept = i / 3 % 64 < 32;
    EXPECT_EQ(pasted.pixels[i], kept ? original->pixels[i] : plain.pixels[i]) << i;
    if (kept) {
      EXPECT_EQ(feathered.pixels[i], original->pixels[i]) << i;
    }
    changed_by_autoencoder += kept && plain.pixels[i] != original->pixels[i];
    faded += !kept && feathered.pixels[i] != plain.pixels[i];
  }
  EXPECT_GT(changed_by_autoencoder, 1000);
  EXPECT_GT(faded, 100);
}

TEST_F(KandinskyPipelineTest, VisitsTheStagesInOrder) {
  GenerationRequest request = TinyRequest(1);
  request.prior_steps = 2;
  request.steps = 3;
  auto admitted = pipeline_->Admit(request);
  ASSERT_TRUE(admitted.ok()) << admitted.status();
  Sample* sample = admitted->get();
  std::vector<std::string> visited;
  int remaining = sample->remaining_steps();
  EXPECT_EQ(remaining, 1 + 2 + 3 + 1);
  while (sample->stage() != Stage::kDone) {
    const StageProgress progress = sample->progress();
    visited.push_back(std::string(StageName(progress.stage)) + " " + std::to_string(progress.step) + "/" +
                      std::to_string(progress.total_steps));
    ASSERT_TRUE(pipeline_->Step({&sample, 1}).ok());
    EXPECT_EQ(sample->remaining_steps(), --remaining);
  }
  EXPECT_THAT(visited, ElementsAre("encode 0/1", "prior 0/2", "prior 1/2", "denoise 0/3", "denoise 1/3",
                                   "denoise 2/3", "decode 0/1"));
}

TEST_F(KandinskyPipelineTest, ImageHasTheRequestedSize) {
  GenerationRequest request = TinyRequest(1);
  request.width = 96;
  const GenerationResult result = RunAlone(*pipeline_, request);
  ASSERT_TRUE(result.image.has_value());
  EXPECT_EQ(result.image->width, 96);
  EXPECT_EQ(result.image->height, 64);
  EXPECT_EQ(result.image->pixels.size(), 96u * 64u * 3u);
  EXPECT_THAT(result.latents->shape, ElementsAre(4, 16, 24));
}

TEST_F(KandinskyPipelineTest, SkipsTheDecodeStageWhenNoImageIsWanted) {
  GenerationRequest request = TinyRequest(1);
  request.output = {.image = false, .latents = true};
  const GenerationResult result = RunAlone(*pipeline_, request);
  EXPECT_FALSE(result.image.has_value());
  EXPECT_TRUE(result.latents.has_value());
}

TEST_F(KandinskyPipelineTest, GuidanceSplitsTheDenoiseKeyButNotThePriorKey) {
  GenerationRequest guided = TinyRequest(1);
  GenerationRequest unguided = TinyRequest(1);
  unguided.guidance_scale = 1.0f;
  auto a = pipeline_->Admit(guided);
  auto b = pipeline_->Admit(unguided);
  ASSERT_TRUE(a.ok() && b.ok());
  const auto step_both_to = [&](Stage stage) {
    for (Sample* sample : {a->get(), b->get()}) {
      while (sample->stage() != stage) ASSERT_TRUE(pipeline_->Step({&sample, 1}).ok());
    }
  };
  step_both_to(Stage::kPrior);
  EXPECT_EQ((*a)->batch_key(), (*b)->batch_key());
  step_both_to(Stage::kDenoise);
  EXPECT_NE((*a)->batch_key(), (*b)->batch_key());
  EXPECT_EQ((*a)->step_cost().network_rows, 2);
  EXPECT_EQ((*b)->step_cost().network_rows, 1);
}

TEST_F(KandinskyPipelineTest, ReportsHowAnOverlongPromptWasCut) {
  GenerationRequest request = TinyRequest(1);
  for (int i = 0; i < 200; ++i) request.prompt += " word";
  const auto admitted = pipeline_->Admit(request);
  ASSERT_TRUE(admitted.ok());
  ASSERT_EQ((*admitted)->prompt_tokens().size(), 1u);
  EXPECT_EQ((*admitted)->prompt_tokens()[0].field, "prompt");
  EXPECT_EQ((*admitted)->prompt_tokens()[0].kept_tokens, 77);
  EXPECT_GT((*admitted)->prompt_tokens()[0].tokens, 77);
}

TEST_F(KandinskyPipelineTest, RefusesWhatTheModelCannotServe) {
  GenerationRequest request = TinyRequest(1);
  request.width = 63;
  EXPECT_THAT(std::string(AdmitStatus(request).message()), HasSubstr("width must be a multiple of"));
  request = TinyRequest(1);
  request.steps = 1000;
  EXPECT_THAT(std::string(AdmitStatus(request).message()), HasSubstr("steps must be 1 to "));
  request = TinyRequest(1);
  request.prior_steps = 1;
  EXPECT_THAT(std::string(AdmitStatus(request).message()), HasSubstr("prior_steps"));
  request = TinyRequest(1);
  request.sampler = SamplerKind::kDdim;
  request.eta = 2.0f;
  EXPECT_THAT(std::string(AdmitStatus(request).message()), HasSubstr("eta"));
}

TEST_F(KandinskyPipelineTest, NonFiniteLatentsFailOnlyTheirOwnGeneration) {
  GenerationRequest bad = TinyRequest(2);
  FloatTensor not_finite = {.shape = {pipeline_->capabilities().embedding_dim}, .values = {}};
  not_finite.values.assign(static_cast<size_t>(not_finite.shape[0]), std::nanf(""));
  bad.negative_image_embedding = std::make_shared<const FloatTensor>(std::move(not_finite));
  bad.sampler = SamplerKind::kDdim;
  const GenerationRequest good = TinyRequest(2);
  auto a = pipeline_->Admit(bad);
  auto b = pipeline_->Admit(good);
  ASSERT_TRUE(a.ok() && b.ok());
  while ((*b)->stage() != Stage::kDone) {
    std::vector<Sample*> batch = {b->get()};
    if ((*a)->stage() != Stage::kDone && (*a)->batch_key() == (*b)->batch_key()) batch.push_back(a->get());
    ASSERT_TRUE(pipeline_->Step(batch).ok());
  }
  EXPECT_EQ((*a)->stage(), Stage::kDone);
  EXPECT_EQ((*a)->TakeResult().status().code(), absl::StatusCode::kInternal);
  const auto result = (*b)->TakeResult();
  ASSERT_TRUE(result.ok());
  EXPECT_TRUE(SameBits(*result, RunAlone(*pipeline_, good)));
}

}  // namespace
}  // namespace kandinsky
