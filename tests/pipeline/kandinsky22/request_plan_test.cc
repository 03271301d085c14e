#include "pipeline/kandinsky22/request_plan.h"
#include "pipeline/request_steps.h"

#include <gtest/gtest.h>

#include <array>

namespace kandinsky {
namespace {

using Networks = std::vector<std::string>;
using Steps = std::array<int, 4>;  // by Stage

constexpr const char* kText = kTextEncoder;
constexpr const char* kImage = kImageEncoder;
constexpr const char* kLatents = kMovqEncoder;
constexpr const char* kPreparation = kNoNetwork;

Steps StepsOf(const GenerationRequest& request) {
  const Plan plan = PlanRequest(request, {});
  return {plan.StepsOf(Stage::kEncode), plan.StepsOf(Stage::kPrior), plan.StepsOf(Stage::kDenoise),
          plan.StepsOf(Stage::kDecode)};
}

Networks EncodeNetworks(const GenerationRequest& request) {
  Networks networks;
  for (const PlannedPhase& phase : PlanRequest(request, {}).phases) {
    if (phase.key.stage == Stage::kEncode) networks.push_back(phase.key.network);
  }
  return networks;
}

GenerationRequest With(Task task) {
  GenerationRequest request;
  request.steps = 10;
  request.prior_steps = 5;
  request.task = std::move(task);
  return request;
}

GenerationRequest WithMix(std::vector<MixPart> parts, Task task = TextToImage()) {
  GenerationRequest request = With(std::move(task));
  request.mix = Mix{std::move(parts)};
  return request;
}

InputImage AImage() { return std::make_shared<const Image>(); }
ImageEmbedding AnEmbedding() { return std::make_shared<const FloatTensor>(); }

MixPart Part(std::variant<std::string, InputImage, ImageEmbedding> content) {
  return {.content = std::move(content), .weight = 1};
}

TEST(RequestPlan, OfTextToImageGoThroughEveryStage) {
  EXPECT_EQ(StepsOf(With(TextToImage())), (Steps{1, 5, 10, 1}));
  EXPECT_EQ(EncodeNetworks(With(TextToImage())), Networks{kText});
}

TEST(RequestPlan, OfImageToImageEncodeTheImageAndRunTheShareOfStrength) {
  const GenerationRequest request = With(ImageToImage{.init = {.image = AImage(), .strength = 0.5}});
  EXPECT_EQ(StepsOf(request), (Steps{2, 5, 5, 1}));
  EXPECT_EQ(EncodeNetworks(request), (Networks{kText, kLatents}));
}

TEST(RequestPlan, OfInpaintingRunInFull) {
  const GenerationRequest request = With(Inpaint{.image = AImage(), .mask = AImage()});
  EXPECT_EQ(StepsOf(request), (Steps{2, 5, 10, 1}));
  EXPECT_EQ(EncodeNetworks(request), (Networks{kText, kLatents}));
}

TEST(RequestPlan, OfAMixNeedTheNetworksOfItsParts) {
  EXPECT_EQ(EncodeNetworks(WithMix({Part("a cat"), Part(AImage())})), (Networks{kText, kImage}));
  EXPECT_EQ(StepsOf(WithMix({Part("a cat"), Part(AImage())})), (Steps{2, 5, 10, 1}));
  EXPECT_EQ(EncodeNetworks(WithMix({Part(AImage())})), Networks{kImage});
  EXPECT_EQ(StepsOf(WithMix({Part(AImage())})), (Steps{1, 0, 10, 1}));
  EXPECT_EQ(EncodeNetworks(WithMix({Part(AnEmbedding())})), Networks{kPreparation});
}

TEST(RequestPlan, OfAMixAndAStartNeedTheNetworksOfBoth) {
  const ImageToImage change = {.init = {.image = AImage(), .strength = 0.5}};
  const GenerationRequest changed = WithMix({Part("a cat"), Part(AImage())}, change);
  EXPECT_EQ(EncodeNetworks(changed), (Networks{kText, kImage, kLatents}));
  EXPECT_EQ(StepsOf(changed), (Steps{3, 5, 5, 1}));
  EXPECT_EQ(EncodeNetworks(WithMix({Part(AnEmbedding())}, change)), Networks{kLatents});
  const Inpaint inpaint = {.image = AImage(), .mask = AImage()};
  EXPECT_EQ(EncodeNetworks(WithMix({Part(AImage())}, inpaint)), (Networks{kImage, kLatents}));
  const ControlNet control = {.hint = AnEmbedding(), .init = std::nullopt};
  EXPECT_EQ(EncodeNetworks(WithMix({Part("a cat")}, control)), Networks{kText});
}

TEST(RequestPlan, OfTheEmbeddingsOfAMixRunThePriorForTextsOnly) {
  EXPECT_EQ(StepsOf(WithMix({Part("a cat"), Part(AImage())}, EmbedPrompt())), (Steps{2, 5, 0, 0}));
  EXPECT_EQ(StepsOf(WithMix({Part(AImage())}, EmbedPrompt())), (Steps{1, 0, 0, 0}));
  EXPECT_EQ(EncodeNetworks(WithMix({Part(AnEmbedding())}, EmbedPrompt())), Networks{kPreparation});
}

TEST(RequestPlan, OfAMixWithANegativePromptRunThePriorForIt) {
  GenerationRequest request = WithMix({Part(AnEmbedding())});
  request.negative_prompt = "blurry";
  EXPECT_EQ(StepsOf(request), (Steps{1, 5, 10, 1}));
  request.negative_prompt = "";
  EXPECT_EQ(StepsOf(request), (Steps{1, 0, 10, 1})) << "empty is as good as absent";
  request.negative_prompt = "blurry";
  request.guidance_scale = 1;
  EXPECT_EQ(StepsOf(request), (Steps{1, 0, 10, 1})) << "nothing reads the negative embedding";
}

TEST(RequestPlan, OfControlNetEncodeAImageOnlyWhenTheyStartFromOne) {
  EXPECT_EQ(StepsOf(With(ControlNet{.hint = AnEmbedding(), .init = std::nullopt})), (Steps{1, 5, 10, 1}));
  const ControlNet started = {.hint = AnEmbedding(), .init = InitImage{.image = AImage(), .strength = 0.3}};
  EXPECT_EQ(StepsOf(With(started)), (Steps{2, 5, 3, 1}));
}

TEST(RequestPlan, WithAnImageEmbeddingLeaveThePriorOut) {
  GenerationRequest request = With(TextToImage());
  request.image_embedding = AnEmbedding();
  EXPECT_EQ(StepsOf(request), (Steps{1, 0, 10, 1}));
  EXPECT_EQ(EncodeNetworks(request), Networks{kPreparation});
  EXPECT_FALSE(RunsPrior(request));
}

TEST(RequestPlan, WithAPriorStartRunTheShareOfItsStrength) {
  GenerationRequest request = With(TextToImage());
  request.prior_start = PriorStart{.from = InputImage(AImage()), .strength = 0.6};
  EXPECT_EQ(StepsOf(request), (Steps{2, 3, 10, 1}));
  EXPECT_EQ(EncodeNetworks(request), (Networks{kText, kImage}));
  request.prior_start->from = ImageEmbedding(AnEmbedding());
  EXPECT_EQ(EncodeNetworks(request), Networks{kText});
}

TEST(RequestPlan, OfEmbeddingTasksRunOneNetworkEach) {
  EXPECT_EQ(StepsOf(With(EmbedText())), (Steps{1, 0, 0, 0}));
  EXPECT_EQ(EncodeNetworks(With(EmbedText())), Networks{kText});
  EXPECT_EQ(StepsOf(With(EmbedImage{AImage()})), (Steps{1, 0, 0, 0}));
  EXPECT_EQ(EncodeNetworks(With(EmbedImage{AImage()})), Networks{kImage});
  EXPECT_EQ(StepsOf(With(EmbedPrompt())), (Steps{1, 5, 0, 0}));
  EXPECT_EQ(StepsOf(With(EncodeLatents{AImage()})), (Steps{1, 0, 0, 0}));
  EXPECT_EQ(EncodeNetworks(With(EncodeLatents{AImage()})), Networks{kLatents});
  EXPECT_EQ(StepsOf(With(DecodeLatents{AnEmbedding()})), (Steps{1, 0, 0, 1}));
  EXPECT_EQ(EncodeNetworks(With(DecodeLatents{AnEmbedding()})), Networks{kPreparation});
}

TEST(RequestPlan, DecodeForAnImageOrPixelsOnly) {
  GenerationRequest request = With(TextToImage());
  request.output = {.image = false, .latents = true, .pixels = false};
  EXPECT_EQ(StepsOf(request)[3], 0);
  request.output.pixels = true;
  EXPECT_EQ(StepsOf(request)[3], 1);
}

TEST(RequestPlan, KeysSayNetworkSizeGuidanceAndAdapter) {
  GenerationRequest request = With(TextToImage());
  request.width = 768;
  request.height = 512;
  const PlanContext context = {.latent_scale = 8, .adapters = {.prior = "p", .denoiser = "u"}};
  const std::vector<PlannedPhase> phases = PlanRequest(request, context).phases;
  ASSERT_EQ(phases.size(), 4u);
  EXPECT_EQ(phases[0].key, (BatchKey{.stage = Stage::kEncode, .network = kTextEncoder, .adapter = "p"}));
  EXPECT_EQ(phases[1].key, (BatchKey{.stage = Stage::kPrior, .network = kPrior, .adapter = "p"}));
  EXPECT_EQ(phases[2].key, (BatchKey{.stage = Stage::kDenoise,
                                     .network = "decoder",
                                     .latent_height = 64,
                                     .latent_width = 96,
                                     .guided = true,
                                     .adapter = "u"}));
  EXPECT_EQ(
      phases[3].key,
      (BatchKey{.stage = Stage::kDecode, .network = kMovqDecoder, .latent_height = 64, .latent_width = 96}));
  request.guidance_scale = 1;
  EXPECT_FALSE(PlanRequest(request, context).phases[2].key.guided);
  EXPECT_EQ(PlanRequest(request, {.latent_scale = 4}).phases[2].key.latent_width, 192);
}

TEST(RequestPlan, CostsCountNetworkRowsCellsAndBytes) {
  GenerationRequest request = With(ControlNet{.hint = nullptr, .init = std::nullopt});
  request.negative_prompt = "blurry";
  const StepMemory memory = {
      .text = 1, .image = 10, .prior = 100, .denoise = 1000, .decode = 10000, .hint = 100000};
  const std::vector<PlannedPhase> phases = PlanRequest(request, {.memory = memory}).phases;
  constexpr int64_t kCells = 64 * 64;
  EXPECT_EQ(phases[0].cost.network_rows, 2) << "two texts";
  EXPECT_EQ(phases[0].cost.memory_bytes, 2);
  EXPECT_EQ(phases[1].cost.network_rows, 3) << "the negative text needs no guidance of its own";
  EXPECT_EQ(phases[1].cost.memory_bytes, 300);
  EXPECT_EQ(phases[1].last_step_bytes, kCells * 100000) << "the hint, before the denoise loop";
  EXPECT_EQ(phases[2].cost.latent_pixels, 2 * kCells);
  EXPECT_EQ(phases[2].cost.memory_bytes, 2 * kCells * 1000);
  EXPECT_EQ(phases[2].last_step_bytes, 0);
  EXPECT_EQ(phases[3].cost.memory_bytes, kCells * 10000);
}

TEST(StepsAtStrength, RoundsDownTheProductInDoublePrecision) {
  EXPECT_EQ(StepsAtStrength(100, 0.29), 28);
  EXPECT_EQ(StepsAtStrength(6, 5.0 / 6), 5);
  EXPECT_EQ(StepsAtStrength(30, 29.0 / 30), 29);
  EXPECT_EQ(StepsAtStrength(49, 1.0 / 49), 0);
  EXPECT_EQ(StepsAtStrength(10, 0.7), 7);
  EXPECT_EQ(StepsAtStrength(10, 0.3), 3);
  EXPECT_EQ(StepsAtStrength(50, 1.0), 50);
  EXPECT_EQ(StepsAtStrength(3, 0.3), 0);
  EXPECT_EQ(StepsAtStrength(1000, 0.001), 1);
}

TEST(TaskName, ToldApartByMakesImage) {
  EXPECT_STREQ(TaskName(Task(ControlNet())), "control_net");
  EXPECT_TRUE(MakesImage(Task(ControlNet())));
  EXPECT_STREQ(TaskName(Task(EmbedText())), "embed_text");
  EXPECT_FALSE(MakesImage(Task(EmbedText())));
  EXPECT_STREQ(TaskName(Task(DecodeLatents())), "decode_latents");
}

}  // namespace
}  // namespace kandinsky
