#include "pipeline/planned_steps.h"

#include <gtest/gtest.h>

namespace kandinsky {
namespace {

using Networks = std::vector<EncodeNetwork>;
using Steps = std::array<int, 4>;

constexpr EncodeNetwork kText = EncodeNetwork::kText;
constexpr EncodeNetwork kImage = EncodeNetwork::kImage;
constexpr EncodeNetwork kLatents = EncodeNetwork::kLatents;
constexpr EncodeNetwork kPreparation = EncodeNetwork::kPreparation;

GenerationRequest With(Task task) {
  GenerationRequest request;
  request.steps = 10;
  request.prior_steps = 5;
  request.task = std::move(task);
  return request;
}

InputImage APicture() { return std::make_shared<const Image>(); }
ImageEmbedding AnEmbedding() { return std::make_shared<const FloatTensor>(); }

MixPart Part(std::variant<std::string, InputImage, ImageEmbedding> content) {
  return {.content = std::move(content), .weight = 1};
}

TEST(PlannedSteps, OfTextToImageGoThroughEveryStage) {
  EXPECT_EQ(PlannedSteps(With(TextToImage())), (Steps{1, 5, 10, 1}));
  EXPECT_EQ(EncodeNetworks(With(TextToImage())), Networks{kText});
}

TEST(PlannedSteps, OfImageToImageEncodeThePictureAndRunTheShareOfStrength) {
  const GenerationRequest request = With(ImageToImage{.init = {.image = APicture(), .strength = 0.5}});
  EXPECT_EQ(PlannedSteps(request), (Steps{2, 5, 5, 1}));
  EXPECT_EQ(EncodeNetworks(request), (Networks{kText, kLatents}));
}

TEST(PlannedSteps, OfInpaintingRunInFull) {
  const GenerationRequest request = With(Inpaint{.image = APicture(), .mask = APicture()});
  EXPECT_EQ(PlannedSteps(request), (Steps{2, 5, 10, 1}));
  EXPECT_EQ(EncodeNetworks(request), (Networks{kText, kLatents}));
}

TEST(PlannedSteps, OfAMixNeedTheNetworksOfItsParts) {
  EXPECT_EQ(EncodeNetworks(With(Mix{{Part("a cat"), Part(APicture())}})), (Networks{kText, kImage}));
  EXPECT_EQ(PlannedSteps(With(Mix{{Part("a cat"), Part(APicture())}})), (Steps{2, 5, 10, 1}));
  EXPECT_EQ(EncodeNetworks(With(Mix{{Part(APicture())}})), Networks{kImage});
  EXPECT_EQ(PlannedSteps(With(Mix{{Part(APicture())}})), (Steps{1, 0, 10, 1}));
  EXPECT_EQ(EncodeNetworks(With(Mix{{Part(AnEmbedding())}})), Networks{kPreparation});
}

TEST(PlannedSteps, OfAMixWithANegativePromptRunThePriorForIt) {
  GenerationRequest request = With(Mix{{Part(AnEmbedding())}});
  request.negative_prompt = "blurry";
  EXPECT_EQ(PlannedSteps(request), (Steps{1, 5, 10, 1}));
  request.negative_prompt = "";
  EXPECT_EQ(PlannedSteps(request), (Steps{1, 0, 10, 1})) << "empty is as good as absent";
  request.negative_prompt = "blurry";
  request.guidance_scale = 1;
  EXPECT_EQ(PlannedSteps(request), (Steps{1, 0, 10, 1})) << "nothing reads the negative embedding";
}

TEST(PlannedSteps, OfControlNetEncodeAPictureOnlyWhenTheyStartFromOne) {
  EXPECT_EQ(PlannedSteps(With(ControlNet{.hint = AnEmbedding(), .init = std::nullopt})),
            (Steps{1, 5, 10, 1}));
  const ControlNet started = {.hint = AnEmbedding(), .init = InitImage{.image = APicture(), .strength = 0.3}};
  EXPECT_EQ(PlannedSteps(With(started)), (Steps{2, 5, 3, 1}));
}

TEST(PlannedSteps, WithAnImageEmbeddingLeaveThePriorOut) {
  GenerationRequest request = With(TextToImage());
  request.image_embedding = AnEmbedding();
  EXPECT_EQ(PlannedSteps(request), (Steps{1, 0, 10, 1}));
  EXPECT_EQ(EncodeNetworks(request), Networks{kPreparation});
  EXPECT_FALSE(RunsPrior(request));
}

TEST(PlannedSteps, WithAPriorStartRunTheShareOfItsStrength) {
  GenerationRequest request = With(TextToImage());
  request.prior_start = PriorStart{.from = InputImage(APicture()), .strength = 0.6};
  EXPECT_EQ(PlannedSteps(request), (Steps{2, 3, 10, 1}));
  EXPECT_EQ(EncodeNetworks(request), (Networks{kText, kImage}));
  request.prior_start->from = ImageEmbedding(AnEmbedding());
  EXPECT_EQ(EncodeNetworks(request), Networks{kText});
}

TEST(PlannedSteps, OfEmbeddingTasksRunOneNetworkEach) {
  EXPECT_EQ(PlannedSteps(With(EmbedText())), (Steps{1, 0, 0, 0}));
  EXPECT_EQ(EncodeNetworks(With(EmbedText())), Networks{kText});
  EXPECT_EQ(PlannedSteps(With(EmbedImage{APicture()})), (Steps{1, 0, 0, 0}));
  EXPECT_EQ(EncodeNetworks(With(EmbedImage{APicture()})), Networks{kImage});
  EXPECT_EQ(PlannedSteps(With(EmbedPrompt())), (Steps{1, 5, 0, 0}));
  EXPECT_EQ(PlannedSteps(With(EncodeLatents{APicture()})), (Steps{1, 0, 0, 0}));
  EXPECT_EQ(EncodeNetworks(With(EncodeLatents{APicture()})), Networks{kLatents});
  EXPECT_EQ(PlannedSteps(With(DecodeLatents{AnEmbedding()})), (Steps{1, 0, 0, 1}));
  EXPECT_EQ(EncodeNetworks(With(DecodeLatents{AnEmbedding()})), Networks{kPreparation});
}

TEST(PlannedSteps, DecodeForAnImageOrPixelsOnly) {
  GenerationRequest request = With(TextToImage());
  request.output = {.image = false, .latents = true, .pixels = false};
  EXPECT_EQ(PlannedSteps(request)[3], 0);
  request.output.pixels = true;
  EXPECT_EQ(PlannedSteps(request)[3], 1);
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
