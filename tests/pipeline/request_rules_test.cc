#include "pipeline/request_rules.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <climits>
#include <cmath>
#include <functional>
#include <limits>
#include <tuple>

namespace kandinsky {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::StartsWith;

constexpr int kDim = 32;
constexpr int kClipEdge = 28;

Capabilities Small(const std::string& network) {
  Capabilities capabilities;
  capabilities.networks = {network};
  capabilities.embedding_dim = kDim;
  capabilities.clip_image_size = kClipEdge;
  capabilities.samplers = {SamplerKind::kDdpm, SamplerKind::kDdim};
  return capabilities;
}

InputImage SomeImage(int width, int height, int channels) {
  Image image = {.width = width, .height = height, .channels = channels, .pixels = {}};
  image.pixels.resize(image.row_bytes() * static_cast<size_t>(height));
  return std::make_shared<const Image>(std::move(image));
}

InputImage ClipImage() { return SomeImage(kClipEdge, kClipEdge, 3); }

SharedFloatTensor Tensor(std::vector<int64_t> shape) {
  size_t count = 1;
  for (const int64_t size : shape) count *= static_cast<size_t>(size);
  return std::make_shared<const FloatTensor>(
      FloatTensor{.shape = std::move(shape), .values = std::vector<float>(count, 0.5f)});
}

GenerationRequest SmallRequest(Task task = TextToImage()) {
  GenerationRequest request;
  request.prompt = "a small house";
  request.width = 64;
  request.height = 64;
  request.steps = 4;
  request.prior_steps = 3;
  request.task = std::move(task);
  return request;
}

GenerationRequest SmallMix(std::vector<MixPart> parts, Task task = TextToImage()) {
  GenerationRequest request = SmallRequest(std::move(task));
  request.prompt.clear();
  request.mix = Mix{std::move(parts)};
  return request;
}

MixPart Part(std::variant<std::string, InputImage, ImageEmbedding> content, float weight = 1.0f) {
  return {.content = std::move(content), .weight = weight};
}

// One request of each kind that the network serves.
std::vector<GenerationRequest> RequestsOf(const std::string& network) {
  const InitImage init = {.image = SomeImage(64, 64, 3), .strength = 0.7};
  const std::vector<MixPart> parts = {Part("cat"), Part(ClipImage(), 0.5f), Part(Tensor({kDim}), -0.2f)};
  if (network == "inpaint") {
    const Inpaint inpaint = {
        .image = init.image, .mask = SomeImage(64, 64, 1), .soft = true, .paste_back = true, .feather = 4};
    return {SmallRequest(inpaint), SmallMix(parts, inpaint)};
  }
  if (network == "controlnet_depth") {
    return {SmallRequest(ControlNet{.hint = Tensor({3, 64, 64}), .init = std::nullopt}),
            SmallRequest(ControlNet{.hint = Tensor({3, 64, 64}), .init = init}),
            SmallMix(parts, ControlNet{.hint = Tensor({3, 64, 64}), .init = init})};
  }
  GenerationRequest embedded = SmallRequest();
  embedded.prompt.clear();
  embedded.negative_prompt = "";
  embedded.image_embedding = Tensor({kDim});
  GenerationRequest started = SmallRequest();
  started.prior_start = PriorStart{.from = ClipImage(), .strength = 0.5};
  return {SmallRequest(),
          embedded,
          started,
          SmallRequest(ImageToImage{init}),
          SmallMix(parts),
          SmallMix(parts, ImageToImage{init}),
          SmallMix(parts, EmbedPrompt()),
          SmallRequest(EmbedText()),
          SmallRequest(EmbedImage{ClipImage()}),
          SmallRequest(EmbedPrompt()),
          SmallRequest(EncodeLatents{SomeImage(64, 64, 3)}),
          SmallRequest(DecodeLatents{Tensor({4, 8, 8})})};
}

std::vector<Violation> Violations(const GenerationRequest& request, const RequestLimits& limits = {},
                                  const std::string& network = "decoder") {
  return CheckRequest(Small(network), request, limits);
}

// "field rule" of each violation.
std::vector<std::string> Texts(const std::vector<Violation>& violations) {
  std::vector<std::string> texts;
  for (const Violation& violation : violations) texts.push_back(violation.field + " " + violation.rule);
  return texts;
}

// What is wrong with a request's images and tensors.
std::string InputRefusal(const GenerationRequest& request, const Capabilities& capabilities) {
  EXPECT_THAT(CheckRequest(capabilities, request, {}), IsEmpty());
  const absl::Status status = CheckInputs(capabilities, request);
  EXPECT_EQ(status.code(), absl::StatusCode::kInvalidArgument);
  return std::string(status.message());
}

TEST(RequestCheckTest, AcceptsEveryTaskOfItsNetwork) {
  for (const char* network : {"decoder", "inpaint", "controlnet_depth"}) {
    for (const GenerationRequest& request : RequestsOf(network)) {
      EXPECT_THAT(Texts(Violations(request, {}, network)), IsEmpty()) << TaskName(request.task);
      EXPECT_EQ(CheckInputs(Small(network), request), absl::OkStatus()) << TaskName(request.task);
    }
  }
}

TEST(RequestCheckTest, ReportsTheTasksOfOtherNetworksAsALack) {
  for (const std::string network : {"decoder", "inpaint", "controlnet_depth"}) {
    for (const std::string other : {"decoder", "inpaint", "controlnet_depth"}) {
      for (const GenerationRequest& request : RequestsOf(other)) {
        if (network == other || !MakesImage(request.task)) continue;
        EXPECT_THAT(Violations(request, {}, network),
                    ElementsAre(Violation{TaskName(request.task), "the model's networks are: " + network,
                                          Lack::kNetwork}));
      }
    }
  }
}

TEST(RequestCheckTest, ReportsImagesToEmbedWithoutAnImageEncoderAsALack) {
  Capabilities capabilities = Small("decoder");
  capabilities.has_image_encoder = false;
  const auto lacks = [&](const GenerationRequest& request) {
    std::vector<std::string> fields;
    for (const Violation& violation : CheckRequest(capabilities, request, {})) {
      EXPECT_EQ(violation.lack, Lack::kImageEncoder);
      EXPECT_THAT(violation.rule, HasSubstr("without an image encoder"));
      fields.push_back(violation.field);
    }
    return fields;
  };
  EXPECT_THAT(lacks(SmallRequest(EmbedImage())), ElementsAre("images"));
  for (const Task& task : {Task(TextToImage()), Task(EmbedPrompt())}) {
    EXPECT_THAT(lacks(SmallMix({Part("cat"), Part(InputImage()), Part(Tensor({kDim}))}, task)),
                ElementsAre("mix.parts[1].image"));
  }
  GenerationRequest request = SmallRequest();
  request.prior_start = PriorStart{.from = InputImage()};
  request.prior_steps = 10;
  EXPECT_THAT(lacks(request), ElementsAre("prior_start.image"));
  request.prior_start->from = Tensor({kDim});
  EXPECT_THAT(lacks(request), IsEmpty());
}

TEST(RequestCheckTest, ReportsAdaptersThatAreNotLoadedAsALack) {
  Capabilities capabilities = Small("decoder");
  capabilities.adapters = {"oil"};
  GenerationRequest request = SmallRequest();
  request.adapter = "oil";
  EXPECT_THAT(CheckRequest(capabilities, request, {}), IsEmpty());
  request.adapter = "ink";
  const std::vector<Violation> violations = CheckRequest(capabilities, request, {});
  ASSERT_EQ(violations.size(), 1u);
  EXPECT_EQ(violations.front().field, "adapter");
  EXPECT_EQ(violations.front().lack, Lack::kAdapter);
}

TEST(RequestCheckTest, ALackIsAnInvalidArgumentWhereWorkBegins) {
  const absl::Status status = ToStatus(Violations(SmallRequest(Inpaint())));
  EXPECT_EQ(status, absl::InvalidArgumentError("inpaint: the model's networks are: decoder"));
  EXPECT_EQ(ToStatus(Violations(SmallMix({}))), absl::InvalidArgumentError("mix.parts must be 1 to 16"));
}

TEST(RequestCheckTest, ListsEveryViolation) {
  GenerationRequest request = SmallMix({Part("cat", NAN), Part("dog"), Part("sea", 101)},
                                       ImageToImage{{.image = nullptr, .strength = 2}});
  request.prompt = "a dog";
  request.width = 65;
  request.height = -64;
  request.steps = 0;
  request.guidance_scale = std::numeric_limits<float>::infinity();
  request.sampler = SamplerKind::kEuler;
  request.eta = 0.5f;
  request.prior_steps = INT_MAX;
  request.prior_guidance_scale = -0.1f;
  request.image_embedding = Tensor({kDim});
  request.negative_prior_prompt = "fog";
  request.prior_start = PriorStart{.from = Tensor({kDim}), .strength = 0};
  EXPECT_THAT(Texts(Violations(request, {.max_size = 512, .max_steps = 20})),
              ElementsAre("prompt must be empty with mix",                               //
                          "width must be a multiple of 64 from 64 to 512 pixels",        //
                          "height must be a multiple of 64 from 64 to 512 pixels",       //
                          "steps must be 1 to 20",                                       //
                          "guidance_scale must be a finite number from 0 to 100",        //
                          "sampler is not offered by the model",                         //
                          "eta must be 0 unless sampler is SAMPLER_DDIM",                //
                          "prior_steps must be 2 to 1000",                               //
                          "prior_guidance_scale must be a finite number from 0 to 100",  //
                          "image_to_image.strength must be a number above 0 and at most 1",
                          "mix.parts[0].weight must be a finite number from -100 to 100",  //
                          "mix.parts[2].weight must be a finite number from -100 to 100",  //
                          "image_embedding must be unset with mix",                        //
                          "prior_start must be unset with mix",                            //
                          "prior_start must be unset with negative_prior_prompt",          //
                          "prior_start.strength must be a number above 0 and at most 1"));
}

TEST(RequestCheckTest, TheSmallerLimitOfModelAndOperatorCounts) {
  Capabilities capabilities = Small("decoder");
  capabilities.max_steps = 100;
  capabilities.max_prior_steps = 50;
  GenerationRequest request = SmallRequest();
  request.steps = 1001;
  request.prior_steps = 1001;
  EXPECT_THAT(Texts(CheckRequest(capabilities, request, {.max_steps = 20, .max_prior_steps = 60})),
              ElementsAre("steps must be 1 to 20", "prior_steps must be 2 to 50"));
  EXPECT_THAT(Texts(CheckRequest(capabilities, request, {.max_steps = 200, .max_prior_steps = 10})),
              ElementsAre("steps must be 1 to 100", "prior_steps must be 2 to 10"));
}

TEST(RequestCheckTest, BoundsTheWorkOfAllImages) {
  const double most = 64 * 64 * 2 * 2 / 1e6;
  GenerationRequest request = SmallRequest(ImageToImage{{.image = nullptr, .strength = 0.5}});
  EXPECT_THAT(Violations(request, {.max_megapixel_steps = most, .images = 2}), IsEmpty());
  EXPECT_THAT(Texts(Violations(request, {.max_megapixel_steps = most, .images = 3})),
              ElementsAre(StartsWith("steps megapixels x images x steps that run must be at most")));
  std::get<ImageToImage>(request.task).init.strength = 0.75;
  EXPECT_EQ(Violations(request, {.max_megapixel_steps = most, .images = 2}).size(), 1u);
}

TEST(RequestCheckTest, DoesNotCountWorkByNumbersThatAreWrong) {
  const RequestLimits limits = {.max_megapixel_steps = 1e-9};
  const std::function<void(GenerationRequest&)> faults[] = {
      [](GenerationRequest& request) { request.width = INT_MAX; },
      [](GenerationRequest& request) { request.steps = -1; },
      [](GenerationRequest& request) { std::get<ImageToImage>(request.task).init.strength = NAN; }};
  for (const auto& fault : faults) {
    GenerationRequest request = SmallRequest(ImageToImage{{.image = nullptr, .strength = 1}});
    EXPECT_EQ(Violations(request, limits).front().field, "steps");
    fault(request);
    EXPECT_EQ(Violations(request, limits).size(), 1u);
    EXPECT_THAT(Texts(Violations(request, limits)), Not(testing::Contains(HasSubstr("megapixels"))));
  }
}

TEST(RequestCheckTest, LooksOnlyAtNumbersThatTheTaskReads) {
  GenerationRequest request = SmallRequest(EmbedText());
  request.width = 0;
  request.steps = 0;
  request.prior_steps = 0;
  EXPECT_THAT(Texts(Violations(request)), IsEmpty());
  request.task = DecodeLatents();
  EXPECT_THAT(Texts(Violations(request)), ElementsAre(StartsWith("width")));
  request.task = EmbedPrompt();
  EXPECT_THAT(Texts(Violations(request)), ElementsAre(StartsWith("prior_steps")));
}

TEST(RequestCheckTest, RefusesTextsThatAnImageEmbeddingReplaces) {
  GenerationRequest request = SmallRequest();
  request.image_embedding = Tensor({kDim});
  request.negative_prompt = "fog";
  request.negative_prior_prompt = "rain";
  EXPECT_THAT(Texts(Violations(request)),
              ElementsAre("prompt must be empty with image_embedding",
                          "negative_prompt must be empty with image_embedding",
                          "negative_prior_prompt must be empty with image_embedding"));
}

TEST(RequestCheckTest, RefusesAnImageEmbeddingThatNothingReads) {
  for (const Task& task : {Task(EmbedPrompt()), Task(EmbedText())}) {
    GenerationRequest request = SmallRequest(task);
    request.image_embedding = Tensor({kDim});
    EXPECT_THAT(Texts(Violations(request)), ElementsAre("image_embedding does not go with this task"));
  }
}

TEST(RequestCheckTest, RefusesAPriorStartWherePriorsDoNotRun) {
  GenerationRequest request = SmallRequest();
  request.prior_start = PriorStart{.from = ClipImage(), .strength = 0.5};
  for (const Task& task : {Task(EmbedText()), Task(EncodeLatents())}) {
    request.task = task;
    EXPECT_THAT(Texts(Violations(request)), ElementsAre("prior_start does not go with this task"));
  }
  request.task = TextToImage();
  request.prompt.clear();
  request.image_embedding = Tensor({kDim});
  EXPECT_THAT(Texts(Violations(request)),
              ElementsAre("prior_start must be unset with image_embedding, which takes the prior's place"));
}

TEST(RequestCheckTest, RefusesPriorStepsOutOfRangeAlsoWhereOnlyTheirNumbersAreDrawn) {
  GenerationRequest request = SmallMix({Part(ClipImage())});
  for (const int steps : {0, 1, 1001, INT_MAX}) {
    request.prior_steps = steps;
    EXPECT_THAT(Texts(Violations(request)), ElementsAre("prior_steps must be 2 to 1000")) << steps;
  }
}

TEST(RequestCheckTest, RefusesStrengthsThatLeaveNoStep) {
  for (const double strength : {0.0, -1.0, 1.001, std::nan("")}) {
    EXPECT_THAT(Texts(Violations(SmallRequest(ImageToImage{{nullptr, strength}}))),
                ElementsAre("image_to_image.strength must be a number above 0 and at most 1"));
  }
  EXPECT_THAT(
      Texts(Violations(SmallRequest(ImageToImage{{nullptr, 0.2}}))),
      ElementsAre("image_to_image.strength strength 0.2 leaves none of 4 steps; their product must be "
                  "at least 1"));
  GenerationRequest request = SmallRequest(ControlNet{.hint = nullptr, .init = InitImage{nullptr, 0.2}});
  EXPECT_THAT(Texts(Violations(request, {}, "controlnet_depth")),
              ElementsAre(StartsWith("control_net.strength strength 0.2")));
  request.steps = 0;  // of which a strength says nothing
  EXPECT_THAT(Texts(Violations(request, {}, "controlnet_depth")), ElementsAre(StartsWith("steps")));
}

TEST(RequestCheckTest, RefusesAFeatherOutOfRangeOrWithoutPasteBack) {
  Inpaint inpaint = {.image = nullptr, .mask = nullptr, .paste_back = true};
  const auto texts = [&](int feather) {
    inpaint.feather = feather;
    return Texts(Violations(SmallRequest(inpaint), {}, "inpaint"));
  };
  EXPECT_THAT(texts(256), IsEmpty());
  for (const int feather : {-1, 257}) {
    EXPECT_THAT(texts(feather), ElementsAre("inpaint.feather_pixels must be 0 to 256"));
  }
  inpaint.paste_back = false;
  EXPECT_THAT(texts(0), IsEmpty());
  EXPECT_THAT(texts(1), ElementsAre("inpaint.feather_pixels must be 0 without paste_back"));
}

TEST(RequestCheckTest, BoundsThePartsOfAMixAndLooksAtNoLongerList) {
  for (const size_t parts : {size_t{0}, size_t{17}}) {
    for (const Task& task : {Task(TextToImage()), Task(ImageToImage{{nullptr, 0.5}}), Task(EmbedPrompt())}) {
      EXPECT_THAT(Texts(Violations(SmallMix(std::vector<MixPart>(parts, Part("cat", NAN)), task))),
                  ElementsAre("mix.parts must be 1 to 16"));
    }
  }
  EXPECT_THAT(Violations(SmallMix(std::vector<MixPart>(16, Part("cat", -100)))), IsEmpty());
}

TEST(RequestCheckTest, RefusesAMixThatNothingReads) {
  for (const Task& task : {Task(EmbedText()), Task(EncodeLatents())}) {
    EXPECT_THAT(Texts(Violations(SmallMix({Part("cat")}, task))),
                ElementsAre("mix does not go with this task"));
  }
}

TEST(RequestCheckTest, RefusesInputsOfAnotherSize) {
  const Capabilities decoder = Small("decoder");
  GenerationRequest request = SmallRequest(ImageToImage{{SomeImage(64, 32, 3), 0.5}});
  EXPECT_THAT(InputRefusal(request, decoder), HasSubstr("image must have"));
  request.task = ImageToImage{{SomeImage(64, 64, 1), 0.5}};
  EXPECT_THAT(InputRefusal(request, decoder), HasSubstr("3 channels"));
  request.task = ImageToImage{{nullptr, 0.5}};
  EXPECT_THAT(InputRefusal(request, decoder), HasSubstr("image must have"));
  request.task = Inpaint{.image = SomeImage(64, 64, 3), .mask = SomeImage(32, 64, 1)};
  EXPECT_THAT(InputRefusal(request, Small("inpaint")), HasSubstr("mask must have"));
  request.task = ControlNet{.hint = Tensor({3, 64, 32}), .init = std::nullopt};
  EXPECT_THAT(InputRefusal(request, Small("controlnet_depth")), HasSubstr("hint has the wrong shape"));
  request.task = DecodeLatents{Tensor({4, 8, 4})};
  EXPECT_THAT(InputRefusal(request, decoder), HasSubstr("latents has the wrong shape"));
  for (const Task& task : {Task(TextToImage()), Task(ImageToImage{{SomeImage(64, 64, 3), 0.5}})}) {
    EXPECT_THAT(InputRefusal(SmallMix({Part(SomeImage(64, 64, 3))}, task), decoder), HasSubstr("28x28"));
  }
  request = SmallRequest();
  request.prior_start = PriorStart{SomeImage(14, 14, 3), 0.5};
  EXPECT_THAT(InputRefusal(request, decoder), HasSubstr("prior_start must be an RGB image"));
  request = SmallRequest();
  request.negative_image_embedding = Tensor({kDim + 1});
  EXPECT_THAT(InputRefusal(request, decoder), StartsWith("negative_image_embedding"));
  request.prompt.clear();
  request.image_embedding = Tensor({kDim - 1});
  EXPECT_THAT(InputRefusal(request, decoder), StartsWith("image_embedding"));
}

TEST(RequestCheckTest, AHintHasEightTimesTheEdgesOfTheLatents) {
  GenerationRequest request = SmallRequest();
  request.width = 128;
  for (const auto& [scale, height, width] :
       {std::tuple(8, 64, 128), std::tuple(4, 128, 256), std::tuple(16, 32, 64)}) {
    Capabilities capabilities = Small("controlnet_depth");
    capabilities.latent_scale = scale;
    request.task = ControlNet{.hint = Tensor({3, height, width}), .init = std::nullopt};
    EXPECT_EQ(CheckInputs(capabilities, request), absl::OkStatus()) << scale;
    capabilities.latent_scale = scale / 2;
    EXPECT_THAT(InputRefusal(request, capabilities), HasSubstr("hint has the wrong shape"));
  }
}

}  // namespace
}  // namespace kandinsky
