#include "pipeline/simulated/simulated_pipeline.h"

#include <gtest/gtest.h>

#include <atomic>
#include <map>
#include <string>
#include <thread>

#include "pipeline/simulated/simulated_image.h"
#include "pipeline/simulated/simulated_sample.h"
#include "tests/fakes/fake_clock.h"
#include "tests/fakes/loaded_pipeline.h"

namespace kandinsky {
namespace {

constexpr SimulatedStepTimes kNoTime = {0, 0, 0, 0, 0, 0, 0, 0};

SimulatedOptions Instant() {
  SimulatedOptions options;
  options.model_name = "simulated";
  options.times = kNoTime;
  return options;
}

GenerationRequest SmallRequest() {
  GenerationRequest request;
  request.prompt = "a red cat";
  request.width = 128;
  request.height = 64;
  request.steps = 3;
  request.prior_steps = 2;
  request.seed = 7;
  return request;
}

class SimulatedPipelineTest : public testing::Test {
 protected:
  static std::unique_ptr<Sample> Admit(LoadedPipeline& pipeline, const GenerationRequest& request) {
    absl::StatusOr<std::unique_ptr<Sample>> sample = pipeline.Admit(request);
    EXPECT_TRUE(sample.ok()) << sample.status();
    return *std::move(sample);
  }

  // Steps until the end; the stages in order, one entry a step.
  static std::vector<Stage> RunToEnd(LoadedPipeline& pipeline, Sample& sample) {
    std::vector<Stage> stages;
    while (sample.stage() != Stage::kDone) {
      stages.push_back(sample.stage());
      EXPECT_EQ(pipeline.Step({&sample}), absl::OkStatus());
    }
    return stages;
  }

  FakeClock clock_;
};

TEST_F(SimulatedPipelineTest, GoesThroughTheStagesOfTextToImage) {
  LoadedPipeline pipeline(LoadSimulated(Instant(), {"sim:0"}, 1, clock_));
  const auto sample = Admit(pipeline, SmallRequest());
  EXPECT_EQ(RunToEnd(pipeline, *sample),
            (std::vector<Stage>{Stage::kEncode, Stage::kPrior, Stage::kPrior, Stage::kDenoise,
                                Stage::kDenoise, Stage::kDenoise, Stage::kDecode}));
  const absl::StatusOr<GenerationResult> result = sample->TakeResult();
  ASSERT_TRUE(result.ok() && result->image.has_value());
  EXPECT_EQ(result->image->pixels, SimulatedImage(7, 128, 64).pixels);
  EXPECT_FALSE(result->latents.has_value());
}

TEST_F(SimulatedPipelineTest, SkipsDecodingWhenNoImageIsWanted) {
  LoadedPipeline pipeline(LoadSimulated(Instant(), {"sim:0"}, 1, clock_));
  GenerationRequest request = SmallRequest();
  request.output = {.image = false, .latents = true};
  const auto sample = Admit(pipeline, request);
  EXPECT_EQ(sample->remaining_steps(), 1 + 2 + 3);
  EXPECT_EQ(RunToEnd(pipeline, *sample).back(), Stage::kDenoise);
  const absl::StatusOr<GenerationResult> result = sample->TakeResult();
  ASSERT_TRUE(result.ok() && result->latents.has_value());
  EXPECT_FALSE(result->image.has_value());
  EXPECT_EQ(result->latents->shape, (std::vector<int64_t>{4, 8, 16}));
  EXPECT_EQ(result->latents->values.size(), 4u * 8 * 16);
}

TEST_F(SimulatedPipelineTest, GoesThroughTheNetworksThatATaskNeeds) {
  LoadedPipeline pipeline(LoadSimulated(Instant(), {"sim:0"}, 1, clock_));
  GenerationRequest request = SmallRequest();
  request.task = ImageToImage{.init = {.image = std::make_shared<const Image>(), .strength = 0.7}};
  const auto sample = Admit(pipeline, request);
  std::vector<std::string> networks;
  int sized_encode_steps = 0;
  while (sample->stage() != Stage::kDone) {
    networks.push_back(sample->batch_key().network);
    const bool encodes = sample->stage() == Stage::kEncode;
    sized_encode_steps += encodes && sample->batch_key().latent_width == 16 ? 1 : 0;
    ASSERT_EQ(pipeline.Step({sample.get()}), absl::OkStatus());
  }
  EXPECT_EQ(networks, (std::vector<std::string>{"text_encoder", "movq_encoder", "prior", "prior", "decoder",
                                                "decoder", "movq"}));
  EXPECT_EQ(sized_encode_steps, 1);
}

TEST_F(SimulatedPipelineTest, YieldsWhatEachEmbeddingTaskAsksFor) {
  LoadedPipeline pipeline(LoadSimulated(Instant(), {"sim:0"}, 1, clock_));
  const auto result_of = [&](Task task) {
    GenerationRequest request = SmallRequest();
    request.task = std::move(task);
    const auto sample = Admit(pipeline, request);
    RunToEnd(pipeline, *sample);
    return *sample->TakeResult();
  };
  using Shape = std::vector<int64_t>;
  const GenerationResult text = result_of(EmbedText());
  EXPECT_EQ(text.embedding->shape, Shape{1280});
  EXPECT_EQ(text.hidden_states->shape, (Shape{77, 1280}));
  EXPECT_EQ(text.token_ids.size(), 77u);
  EXPECT_EQ(result_of(EmbedImage{std::make_shared<const Image>()}).embedding->values.size(), 1280u);
  const GenerationResult prompt = result_of(EmbedPrompt());
  EXPECT_NE(prompt.embedding->values, prompt.negative_embedding->values);
  EXPECT_EQ(result_of(EncodeLatents{std::make_shared<const Image>()}).latents->shape, (Shape{4, 8, 16}));
  const GenerationResult decoded = result_of(DecodeLatents{std::make_shared<const FloatTensor>()});
  EXPECT_EQ(decoded.image->width, 128);
  EXPECT_FALSE(decoded.latents.has_value());
}

TEST_F(SimulatedPipelineTest, CountsStepsDownToZero) {
  LoadedPipeline pipeline(LoadSimulated(Instant(), {"sim:0"}, 1, clock_));
  const auto sample = Admit(pipeline, SmallRequest());
  for (int remaining = 1 + 2 + 3 + 1; remaining > 0; --remaining) {
    EXPECT_EQ(sample->remaining_steps(), remaining);
    const StageProgress progress = sample->progress();
    EXPECT_LT(progress.step, progress.total_steps);
    ASSERT_EQ(pipeline.Step({sample.get()}), absl::OkStatus());
  }
  EXPECT_EQ(sample->remaining_steps(), 0);
}

TEST_F(SimulatedPipelineTest, HasTheBatchKeysAndCostsOfARealPipeline) {
  LoadedPipeline pipeline(LoadSimulated(Instant(), {"sim:0"}, 1, clock_));
  GenerationRequest request = SmallRequest();
  request.prior_guidance_scale = 1;
  const auto sample = Admit(pipeline, request);
  std::vector<BatchKey> keys;
  while (sample->stage() != Stage::kDone) {
    const BatchKey& key = sample->batch_key();
    if (keys.empty() || !(keys.back() == key)) keys.push_back(key);
    const StepCost cost = sample->step_cost();
    EXPECT_EQ(cost.network_rows, key.guided ? 2 : 1);
    EXPECT_EQ(cost.latent_pixels, key.latent_height * key.latent_width * cost.network_rows);
    EXPECT_EQ(cost.memory_bytes, cost.latent_pixels * kSimulatedBytesPerLatentPixel);
    ASSERT_EQ(pipeline.Step({sample.get()}), absl::OkStatus());
  }
  const auto key = [](Stage stage, const char* network, int height, int width, bool guided) {
    return BatchKey{stage, network, height, width, guided};
  };
  EXPECT_EQ(keys,
            (std::vector<BatchKey>{
                key(Stage::kEncode, "text_encoder", 0, 0, false), key(Stage::kPrior, "prior", 0, 0, false),
                key(Stage::kDenoise, "decoder", 8, 16, true), key(Stage::kDecode, "movq", 8, 16, false)}));
}

TEST_F(SimulatedPipelineTest, AdaptersArePartOfTheKeysOfPriorAndUNet) {
  SimulatedOptions options = Instant();
  options.adapters = {"watercolour"};
  LoadedPipeline pipeline(LoadSimulated(options, {"sim:0"}, 1, clock_));
  EXPECT_EQ(pipeline.capabilities().adapters, options.adapters);
  GenerationRequest request = SmallRequest();
  request.adapter = "watercolour";
  EXPECT_EQ(LoadedPipeline(LoadSimulated(Instant(), {"sim:0"}, 1, clock_)).Admit(request).status().code(),
            absl::StatusCode::kInvalidArgument);
  const auto sample = Admit(pipeline, request);
  std::map<std::string, std::string> adapters;
  while (sample->stage() != Stage::kDone) {
    adapters[sample->batch_key().network] = sample->batch_key().adapter;
    ASSERT_EQ(pipeline.Step({sample.get()}), absl::OkStatus());
  }
  EXPECT_EQ(adapters, (std::map<std::string, std::string>{{"text_encoder", "watercolour"},
                                                          {"prior", "watercolour"},
                                                          {"decoder", "watercolour"},
                                                          {"movq", ""}}));
}

TEST_F(SimulatedPipelineTest, MovesEveryMemberOfABatchAndKeepsTheirResultsApart) {
  LoadedPipeline pipeline(LoadSimulated(Instant(), {"sim:0"}, 1, clock_));
  GenerationRequest other = SmallRequest();
  other.seed = 8;
  const auto first = Admit(pipeline, SmallRequest());
  const auto second = Admit(pipeline, other);
  while (first->stage() != Stage::kDone) {
    ASSERT_EQ(pipeline.Step({first.get(), second.get()}), absl::OkStatus());
  }
  EXPECT_EQ(first->TakeResult()->image->pixels, SimulatedImage(7, 128, 64).pixels);
  EXPECT_EQ(second->TakeResult()->image->pixels, SimulatedImage(8, 128, 64).pixels);
}

TEST_F(SimulatedPipelineTest, ShowsPreviewsWhileDenoising) {
  LoadedPipeline pipeline(LoadSimulated(Instant(), {"sim:0"}, 1, clock_));
  const auto sample = Admit(pipeline, SmallRequest());
  int previews = 0;
  while (sample->stage() != Stage::kDone) {
    const std::optional<Image> preview = sample->Preview();
    EXPECT_EQ(preview.has_value(), sample->stage() == Stage::kDenoise);
    if (preview.has_value()) {
      ++previews;
      EXPECT_EQ(preview->width, 16);
      EXPECT_EQ(preview->height, 8);
    }
    ASSERT_EQ(pipeline.Step({sample.get()}), absl::OkStatus());
  }
  EXPECT_EQ(previews, 3);
}

TEST_F(SimulatedPipelineTest, ReportsTheTokensOfLongPrompts) {
  LoadedPipeline pipeline(LoadSimulated(Instant(), {"sim:0"}, 1, clock_));
  GenerationRequest request = SmallRequest();
  request.negative_prompt = "";
  for (int i = 0; i < 100; ++i) request.prompt += " word";
  const std::vector<PromptTokens> tokens = Admit(pipeline, request)->prompt_tokens();
  ASSERT_EQ(tokens.size(), 2u);
  EXPECT_EQ(tokens[0].field, "prompt");
  EXPECT_EQ(tokens[0].tokens, 105);
  EXPECT_EQ(tokens[0].kept_tokens, 77);
  EXPECT_EQ(tokens[1].field, "negative_prompt");
  EXPECT_EQ(tokens[1].tokens, 2);
}

TEST_F(SimulatedPipelineTest, RefusesSizesThatTheModelCannotMake) {
  LoadedPipeline pipeline(LoadSimulated(Instant(), {"sim:0"}, 1, clock_));
  for (const auto& [width, height] : {std::pair(65, 64), std::pair(64, 0), std::pair(-64, 64)}) {
    GenerationRequest request = SmallRequest();
    request.width = width;
    request.height = height;
    EXPECT_TRUE(absl::IsInvalidArgument(pipeline.Admit(request).status())) << width << "x" << height;
  }
}

TEST_F(SimulatedPipelineTest, AStepLastsUntilItsTimeHasPassedOnTheClock) {
  SimulatedOptions options = Instant();
  options.times.encode_ms = 1000;
  options.times.encode_row_ms = 500;
  LoadedPipeline pipeline(LoadSimulated(options, {"sim:0"}, 1, clock_));
  const auto sample = Admit(pipeline, SmallRequest());
  const absl::Time start = clock_.Now();
  std::atomic<bool> done = false;
  std::thread worker([&] {
    EXPECT_EQ(pipeline.Step({sample.get()}), absl::OkStatus());
    EXPECT_GE(clock_.Now() - start, absl::Milliseconds(1500));
    done = true;
  });
  while (!done) clock_.Advance(absl::Milliseconds(100));
  worker.join();
  EXPECT_EQ(sample->stage(), Stage::kPrior);
}

TEST_F(SimulatedPipelineTest, RunsOutOfMemoryAboveItsLimitAndLeavesTheMembersAsTheyWere) {
  SimulatedOptions options = Instant();
  options.out_of_memory_above_latent_pixels = 2 * 8 * 16;
  LoadedPipeline pipeline(LoadSimulated(options, {"sim:0"}, 1, clock_));
  const auto first = Admit(pipeline, SmallRequest());
  const auto second = Admit(pipeline, SmallRequest());
  while (first->stage() != Stage::kDenoise) {
    ASSERT_EQ(pipeline.Step({first.get(), second.get()}), absl::OkStatus());
  }
  EXPECT_TRUE(absl::IsResourceExhausted(pipeline.Step({first.get(), second.get()})));
  EXPECT_EQ(first->progress().step, 0);
  EXPECT_EQ(second->progress().step, 0);
  EXPECT_EQ(pipeline.Step({first.get()}), absl::OkStatus());
  EXPECT_EQ(pipeline.Step({second.get()}), absl::OkStatus());
}

TEST_F(SimulatedPipelineTest, EveryNthStepFails) {
  SimulatedOptions options = Instant();
  options.fail_every_steps = 3;
  LoadedPipeline pipeline(LoadSimulated(options, {"sim:0"}, 1, clock_));
  GenerationRequest request = SmallRequest();
  request.prior_steps = 100;
  std::string outcomes;
  auto sample = Admit(pipeline, request);
  for (int i = 0; i < 7; ++i) {
    const absl::Status status = pipeline.Step({sample.get()});
    outcomes += status.ok() ? '.' : 'x';
    if (status.ok()) continue;
    EXPECT_TRUE(absl::IsInternal(status)) << status;
    sample = Admit(pipeline, request);
  }
  EXPECT_EQ(outcomes, "..x..x.");
}

TEST_F(SimulatedPipelineTest, IsOfNoUseOnceLostAndCanBeMadeAgain) {
  SimulatedOptions options = Instant();
  options.lose_every_steps = 2;
  LoadedPipeline pipeline(LoadSimulated(options, {"sim:0"}, 1, clock_));
  for (int restart = 0; restart < 2; ++restart) {
    pipeline.MakeAgain();
    const auto sample = Admit(pipeline, SmallRequest());
    EXPECT_EQ(pipeline.Step({sample.get()}), absl::OkStatus());
    EXPECT_TRUE(absl::IsUnavailable(pipeline.Step({sample.get()})));
    EXPECT_TRUE(absl::IsUnavailable(pipeline.Step({sample.get()})));
    EXPECT_TRUE(absl::IsUnavailable(pipeline.Admit(SmallRequest()).status()));
  }
}

TEST_F(SimulatedPipelineTest, EveryDeviceGetsItsWorkers) {
  const LoadedModel loaded = LoadSimulated(Instant(), {"a", "b"}, 2, clock_);
  EXPECT_EQ(loaded.devices, (std::vector<std::string>{"a", "a", "b", "b"}));
  EXPECT_EQ(loaded.model->capabilities().model_name, "simulated");
  EXPECT_EQ(loaded.model->capabilities().device, "a");
}

}  // namespace
}  // namespace kandinsky
