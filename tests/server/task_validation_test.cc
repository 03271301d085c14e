#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>
#include <limits>

#include "server/config.h"
#include "server/request_validation.h"
#include "tests/fakes/fake_pipeline.h"
#include "tests/server/test_images.h"

namespace kandinsky::server {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;
using testing::SizeIs;

constexpr float kNan = std::numeric_limits<float>::quiet_NaN();
constexpr float kInfinity = std::numeric_limits<float>::infinity();
constexpr int kDim = 8;

Capabilities AnyTask() {
  Capabilities capabilities;
  capabilities.networks = {"decoder", "inpaint", "controlnet_depth"};
  capabilities.embedding_dim = kDim;
  return capabilities;
}

using Result = std::variant<ValidatedRequest, std::vector<FieldViolation>>;

Result Validate(const v1::GenerateRequest& request, const Capabilities& capabilities = AnyTask(),
                const v1::LimitsConfig& limits = WithDefaults({}).limits()) {
  return ValidateGenerateRequest(request, {.limits = limits, .model = ModelWith(capabilities)},
                                 [] { return 1; });
}

std::vector<std::string> WrongFields(const Result& result) {
  std::vector<std::string> fields;
  if (const auto* violations = std::get_if<1>(&result)) {
    for (const FieldViolation& violation : *violations) fields.push_back(violation.field);
  }
  return fields;
}

// Each of these is valid, at 64 x 64 pixels and with 10 steps.
v1::GenerateRequest Base() {
  v1::GenerateRequest request;
  request.set_prompt("a red cat");
  request.set_width(64);
  request.set_height(64);
  request.set_steps(10);
  return request;
}

v1::GenerateRequest ImageToImageRequest() {
  v1::GenerateRequest request = Base();
  request.mutable_image_to_image()->set_image(PlainPng(20, 10));
  return request;
}

v1::GenerateRequest InpaintRequest() {
  v1::GenerateRequest request = Base();
  request.mutable_inpaint()->set_image(JpegOf(PlainImage(20, 10)));
  request.mutable_inpaint()->set_mask(PlainPng(20, 10, 255, 1));
  return request;
}

v1::GenerateRequest MixRequest() {
  v1::GenerateRequest request = Base();
  request.clear_prompt();
  request.mutable_mix()->add_parts()->set_text("a cat");
  request.mutable_mix()->add_parts()->set_image(WebpOf(PlainImage(20, 10)));
  *request.mutable_mix()->add_parts()->mutable_embedding() = PlainEmbedding(kDim, 0.5f);
  return request;
}

v1::GenerateRequest DepthRequest() {
  v1::GenerateRequest request = Base();
  request.mutable_control_net()->set_depth_image(PlainPng(64, 64, 100, 1));
  return request;
}

v1::GenerateRequest EmbeddingRequest() {
  v1::GenerateRequest request = Base();
  request.clear_prompt();
  *request.mutable_image_embedding() = PlainEmbedding(kDim, 0.5f);
  return request;
}

v1::GenerateRequest PriorStartRequest() {
  v1::GenerateRequest request = Base();
  request.mutable_prior_start()->set_image(PlainPng(20, 10));
  return request;
}

struct RuleCase {
  const char* name;
  v1::GenerateRequest (*base)();
  void (*change)(v1::GenerateRequest&);
  const char* wrong_field;  // "" when the request stays valid
};

class TaskRule : public testing::TestWithParam<RuleCase> {};

TEST_P(TaskRule, IsEnforcedExactly) {
  v1::GenerateRequest request = GetParam().base();
  GetParam().change(request);
  const std::vector<std::string> wrong = WrongFields(Validate(request));
  if (std::string(GetParam().wrong_field).empty()) {
    EXPECT_THAT(wrong, IsEmpty());
  } else {
    EXPECT_THAT(wrong, ElementsAre(GetParam().wrong_field));
  }
}

#define CHANGE(statement) [](v1::GenerateRequest& r) { statement; }
#define NAMED [](const auto& info) { return info.param.name; }

INSTANTIATE_TEST_SUITE_P(
    ImageToImage, TaskRule,
    testing::Values(
        RuleCase{"Plain", ImageToImageRequest, CHANGE((void)r), ""},
        RuleCase{"NoImage", ImageToImageRequest, CHANGE(r.mutable_image_to_image()->clear_image()),
                 "image_to_image.image"},
        RuleCase{"UnknownFormat", ImageToImageRequest, CHANGE(r.mutable_image_to_image()->set_image("GIF89a")),
                 "image_to_image.image"},
        RuleCase{"Strength0", ImageToImageRequest, CHANGE(r.mutable_image_to_image()->set_strength(0)),
                 "image_to_image.strength"},
        RuleCase{"StrengthAbove1", ImageToImageRequest,
                 CHANGE(r.mutable_image_to_image()->set_strength(1.001)), "image_to_image.strength"},
        RuleCase{"StrengthNan", ImageToImageRequest, CHANGE(r.mutable_image_to_image()->set_strength(kNan)),
                 "image_to_image.strength"},
        RuleCase{"Strength1", ImageToImageRequest, CHANGE(r.mutable_image_to_image()->set_strength(1)), ""},
        RuleCase{"OneStepIsLeft", ImageToImageRequest, CHANGE(r.mutable_image_to_image()->set_strength(0.1)),
                 ""},
        RuleCase{"NoStepIsLeft", ImageToImageRequest, CHANGE(r.mutable_image_to_image()->set_strength(0.099)),
                 "image_to_image.strength"},
        RuleCase{"NoStepIsLeftByDefault", ImageToImageRequest, CHANGE(r.set_steps(3)),
                 "image_to_image.strength"},
        RuleCase{"WrongStepsAlone", ImageToImageRequest, CHANGE(r.set_steps(0)), "steps"},
        RuleCase{"PromptIsNeeded", ImageToImageRequest, CHANGE(r.clear_prompt()), "prompt"}),
    NAMED);

INSTANTIATE_TEST_SUITE_P(
    Inpaint, TaskRule,
    testing::Values(
        RuleCase{"Plain", InpaintRequest, CHANGE((void)r), ""},
        RuleCase{"NoMask", InpaintRequest, CHANGE(r.mutable_inpaint()->clear_mask()), "inpaint.mask"},
        RuleCase{"NoImage", InpaintRequest, CHANGE(r.mutable_inpaint()->clear_image()), "inpaint.image"},
        RuleCase{"MaskOfAnotherSize", InpaintRequest,
                 CHANGE(r.mutable_inpaint()->set_mask(PlainPng(10, 20, 255, 1))), "inpaint.mask"},
        RuleCase{"MaskOfOnePixelMore", InpaintRequest,
                 CHANGE(r.mutable_inpaint()->set_mask(PlainPng(21, 10, 255, 1))), "inpaint.mask"},
        RuleCase{"MaskAllBlack", InpaintRequest,
                 CHANGE(r.mutable_inpaint()->set_mask(PlainPng(20, 10, 0, 1))), ""},
        RuleCase{"MaskInColours", InpaintRequest,
                 CHANGE(r.mutable_inpaint()->set_mask(PlainPng(20, 10, 7, 3))), ""},
        RuleCase{"UnknownPolarity", InpaintRequest,
                 CHANGE(r.mutable_inpaint()->set_mask_polarity(static_cast<v1::MaskPolarity>(9))),
                 "inpaint.mask_polarity"},
        RuleCase{"UnknownMode", InpaintRequest,
                 CHANGE(r.mutable_inpaint()->set_mask_mode(static_cast<v1::MaskMode>(9))),
                 "inpaint.mask_mode"},
        RuleCase{"FeatherWithoutPasteBack", InpaintRequest,
                 CHANGE(r.mutable_inpaint()->set_feather_pixels(1)), "inpaint.feather_pixels"},
        RuleCase{"Feather0WithoutPasteBack", InpaintRequest,
                 CHANGE(r.mutable_inpaint()->set_feather_pixels(0)), ""},
        RuleCase {
          "Feather256", InpaintRequest,
              CHANGE(r.mutable_inpaint()->set_paste_back(true); r.mutable_inpaint()->set_feather_pixels(256)),
              ""
        },
        RuleCase {
          "Feather257", InpaintRequest,
              CHANGE(r.mutable_inpaint()->set_paste_back(true); r.mutable_inpaint()->set_feather_pixels(257)),
              "inpaint.feather_pixels"
        },
        RuleCase {
          "FeatherNegative", InpaintRequest,
              CHANGE(r.mutable_inpaint()->set_paste_back(true); r.mutable_inpaint()->set_feather_pixels(-1)),
              "inpaint.feather_pixels"
        }),
    NAMED);

INSTANTIATE_TEST_SUITE_P(
    Mix, TaskRule,
    testing::Values(
        RuleCase{"Plain", MixRequest, CHANGE((void)r), ""},
        RuleCase{"WithPrompt", MixRequest, CHANGE(r.set_prompt("a dog")), "prompt"},
        RuleCase{"NoParts", MixRequest, CHANGE(r.mutable_mix()->clear_parts()), "mix.parts"},
        RuleCase {
          "NoPartsBesideAnImage", ImageToImageRequest, CHANGE(r.clear_prompt(); r.mutable_mix()), "mix.parts"
        },
        RuleCase {
          "NoPartsBesideAMask", InpaintRequest, CHANGE(r.clear_prompt(); r.mutable_mix()), "mix.parts"
        },
        RuleCase{"BesideAnImageAndAPrompt", ImageToImageRequest,
                 CHANGE(r.mutable_mix()->add_parts()->set_text("a dog")), "prompt"},
        RuleCase {
          "BesideAnImage", ImageToImageRequest,
              CHANGE(r.clear_prompt(); r.mutable_mix()->add_parts()->set_text("a dog")), ""
        },
        RuleCase {
          "BesideAMask", InpaintRequest,
              CHANGE(r.clear_prompt(); r.mutable_mix()->add_parts()->set_text("a dog")), ""
        },
        RuleCase {
          "BesideADepthMap", DepthRequest,
              CHANGE(r.clear_prompt(); r.mutable_mix()->add_parts()->set_text("a dog")), ""
        },
        RuleCase{"BesideTextToImage", MixRequest, CHANGE(r.mutable_text_to_image()), ""},
        RuleCase {
          "Parts16", MixRequest,
              CHANGE(while (r.mix().parts_size() < 16) r.mutable_mix()->add_parts()->set_text("x")), ""
        },
        RuleCase {
          "Parts17", MixRequest,
              CHANGE(while (r.mix().parts_size() < 17) r.mutable_mix()->add_parts()->set_text("x")),
              "mix.parts"
        },
        RuleCase{"EmptyPart", MixRequest, CHANGE(r.mutable_mix()->add_parts()), "mix.parts[3]"},
        RuleCase{"BlankText", MixRequest, CHANGE(r.mutable_mix()->mutable_parts(0)->set_text(" ")),
                 "mix.parts[0].text"},
        RuleCase{"LongText", MixRequest,
                 CHANGE(r.mutable_mix()->mutable_parts(0)->set_text(std::string(4097, 'a'))),
                 "mix.parts[0].text"},
        RuleCase{"UnknownFormat", MixRequest, CHANGE(r.mutable_mix()->mutable_parts(1)->set_image("x")),
                 "mix.parts[1].image"},
        RuleCase{
            "EmbeddingTooShort", MixRequest,
            CHANGE(r.mutable_mix()->mutable_parts(2)->mutable_embedding()->mutable_values()->RemoveLast()),
            "mix.parts[2].embedding"},
        RuleCase{"EmbeddingNotFinite", MixRequest,
                 CHANGE(r.mutable_mix()->mutable_parts(2)->mutable_embedding()->set_values(7, kNan)),
                 "mix.parts[2].embedding"},
        RuleCase{"WeightMinus100", MixRequest, CHANGE(r.mutable_mix()->mutable_parts(2)->set_weight(-100)),
                 ""},
        RuleCase{"WeightBelow", MixRequest, CHANGE(r.mutable_mix()->mutable_parts(2)->set_weight(-100.01f)),
                 "mix.parts[2].weight"},
        RuleCase{"WeightNan", MixRequest, CHANGE(r.mutable_mix()->mutable_parts(2)->set_weight(kNan)),
                 "mix.parts[2].weight"},
        RuleCase{"WeightInfinite", MixRequest,
                 CHANGE(r.mutable_mix()->mutable_parts(2)->set_weight(kInfinity)), "mix.parts[2].weight"},
        RuleCase{"WithImageEmbedding", MixRequest,
                 CHANGE(*r.mutable_image_embedding() = PlainEmbedding(kDim, 1)), "image_embedding"},
        RuleCase{"WithNegativeImageEmbedding", MixRequest,
                 CHANGE(*r.mutable_negative_image_embedding() = PlainEmbedding(kDim, 1)), ""},
        RuleCase {
          "WithNegativePrompts", MixRequest,
              CHANGE(r.set_negative_prompt("x"); r.set_negative_prior_prompt("y")), ""
        },
        RuleCase{"WithPriorStart", MixRequest,
                 CHANGE(*r.mutable_prior_start()->mutable_embedding() = PlainEmbedding(kDim, 1)),
                 "prior_start"}),
    NAMED);

INSTANTIATE_TEST_SUITE_P(
    ControlNet, TaskRule,
    testing::Values(
        RuleCase{"Image", DepthRequest, CHANGE((void)r), ""},
        RuleCase{"NoHint", DepthRequest, CHANGE(r.mutable_control_net()->clear_hint()), "control_net"},
        RuleCase{"ImageOfAnotherSize", DepthRequest,
                 CHANGE(r.mutable_control_net()->set_depth_image(PlainPng(64, 128))),
                 "control_net.depth_image"},
        RuleCase{"EmptyFile", DepthRequest, CHANGE(r.mutable_control_net()->set_depth_image("")),
                 "control_net.depth_image"},
        RuleCase{"Tensor", DepthRequest,
                 CHANGE(*r.mutable_control_net()->mutable_depth() = PlainTensor({64, 64}, 1)), ""},
        RuleCase{"TensorOfThreeChannels", DepthRequest,
                 CHANGE(*r.mutable_control_net()->mutable_depth() = PlainTensor({3, 64, 64}, 0)), ""},
        RuleCase{"TensorOfTwoChannels", DepthRequest,
                 CHANGE(*r.mutable_control_net()->mutable_depth() = PlainTensor({2, 64, 64}, 0)),
                 "control_net.depth"},
        RuleCase{"TensorOfAnotherSize", DepthRequest,
                 CHANGE(*r.mutable_control_net()->mutable_depth() = PlainTensor({64, 32}, 0)),
                 "control_net.depth"},
        RuleCase{"TensorWithoutShape", DepthRequest, CHANGE(r.mutable_control_net()->mutable_depth()),
                 "control_net.depth"},
        RuleCase {
          "TensorOfLessData", DepthRequest,
              CHANGE(*r.mutable_control_net()->mutable_depth() = PlainTensor({64, 64}, 0);
                     r.mutable_control_net()->mutable_depth()->mutable_data()->pop_back()),
              "control_net.depth"
        },
        RuleCase{"TensorAbove1", DepthRequest,
                 CHANGE(*r.mutable_control_net()->mutable_depth() = PlainTensor({64, 64}, 1.001f)),
                 "control_net.depth"},
        RuleCase{"TensorBelow0", DepthRequest,
                 CHANGE(*r.mutable_control_net()->mutable_depth() = PlainTensor({64, 64}, -0.001f)),
                 "control_net.depth"},
        RuleCase{"TensorNan", DepthRequest,
                 CHANGE(*r.mutable_control_net()->mutable_depth() = PlainTensor({64, 64}, kNan)),
                 "control_net.depth"},
        RuleCase{"StrengthWithoutImage", DepthRequest, CHANGE(r.mutable_control_net()->set_strength(0.5)),
                 "control_net.strength"},
        RuleCase {
          "StrengthWithImage", DepthRequest,
              CHANGE(r.mutable_control_net()->set_strength(0.5);
                     r.mutable_control_net()->set_image(PlainPng(5, 5))),
              ""
        },
        RuleCase{"WrongImage", DepthRequest, CHANGE(r.mutable_control_net()->set_image("x")),
                 "control_net.image"}),
    NAMED);

INSTANTIATE_TEST_SUITE_P(
    Embeddings, TaskRule,
    testing::Values(
        RuleCase{"Plain", EmbeddingRequest, CHANGE((void)r), ""},
        RuleCase{"WithPrompt", EmbeddingRequest, CHANGE(r.set_prompt("a cat")), "prompt"},
        RuleCase{"WithNegativePrompt", EmbeddingRequest, CHANGE(r.set_negative_prompt("x")),
                 "negative_prompt"},
        RuleCase{"WithEmptyNegativePrompt", EmbeddingRequest, CHANGE(r.set_negative_prompt("")), ""},
        RuleCase{"WithNegativePriorPrompt", EmbeddingRequest, CHANGE(r.set_negative_prior_prompt("x")),
                 "negative_prior_prompt"},
        RuleCase{"TooLong", EmbeddingRequest, CHANGE(r.mutable_image_embedding()->add_values(1)),
                 "image_embedding"},
        RuleCase{"Empty", EmbeddingRequest, CHANGE(r.mutable_image_embedding()->clear_values()),
                 "image_embedding"},
        RuleCase{"Infinite", EmbeddingRequest, CHANGE(r.mutable_image_embedding()->set_values(0, kInfinity)),
                 "image_embedding"},
        RuleCase{"NegativeTooShort", EmbeddingRequest,
                 CHANGE(*r.mutable_negative_image_embedding() = PlainEmbedding(kDim - 1, 1)),
                 "negative_image_embedding"},
        RuleCase{"NegativeAlone", Base,
                 CHANGE(*r.mutable_negative_image_embedding() = PlainEmbedding(kDim, 1)), ""},
        RuleCase{"WithPriorStart", EmbeddingRequest,
                 CHANGE(*r.mutable_prior_start()->mutable_embedding() = PlainEmbedding(kDim, 1)),
                 "prior_start"}),
    NAMED);

INSTANTIATE_TEST_SUITE_P(
    PriorStart, TaskRule,
    testing::Values(
        RuleCase{"Image", PriorStartRequest, CHANGE((void)r), ""},
        RuleCase{"Embedding", PriorStartRequest,
                 CHANGE(*r.mutable_prior_start()->mutable_embedding() = PlainEmbedding(kDim, 1)), ""},
        RuleCase{"Nothing", PriorStartRequest, CHANGE(r.mutable_prior_start()->clear_from()), "prior_start"},
        RuleCase{"UnknownFormat", PriorStartRequest, CHANGE(r.mutable_prior_start()->set_image("x")),
                 "prior_start.image"},
        RuleCase{"WrongEmbedding", PriorStartRequest,
                 CHANGE(*r.mutable_prior_start()->mutable_embedding() = PlainEmbedding(1, 1)),
                 "prior_start.embedding"},
        RuleCase{"WithNegativePriorPrompt", PriorStartRequest, CHANGE(r.set_negative_prior_prompt("x")),
                 "prior_start"},
        RuleCase{"StrengthNan", PriorStartRequest, CHANGE(r.mutable_prior_start()->set_strength(kNan)),
                 "prior_start.strength"},
        RuleCase{"NoStepIsLeft", PriorStartRequest, CHANGE(r.set_prior_steps(3)), "prior_start.strength"},
        RuleCase{"WrongStepsAlone", PriorStartRequest, CHANGE(r.set_prior_steps(1)), "prior_steps"}),
    NAMED);

TEST(TaskValidation, ListsEveryViolationInTheOrderOfTheFields) {
  v1::GenerateRequest request = MixRequest();
  request.set_prompt("x");
  request.set_width(65);
  request.mutable_mix()->mutable_parts(1)->set_weight(kNan);
  request.mutable_mix()->mutable_parts(2)->mutable_embedding()->clear_values();
  request.set_sampler(static_cast<v1::Sampler>(99));
  EXPECT_THAT(WrongFields(Validate(request)),
              ElementsAre("prompt", "mix.parts[1].weight", "mix.parts[2].embedding", "width", "sampler"));
}

TEST(TaskValidation, ListsEveryViolationOfAMixtureAndOfTheTaskBesideIt) {
  v1::GenerateRequest request = ImageToImageRequest();
  request.mutable_image_to_image()->set_strength(2);
  request.mutable_mix();
  *request.mutable_image_embedding() = PlainEmbedding(kDim, 1);
  *request.mutable_prior_start()->mutable_embedding() = PlainEmbedding(kDim, 1);
  const Result result = Validate(request);
  ASSERT_THAT(WrongFields(result), ElementsAre("prompt", "image_to_image.strength", "mix.parts",
                                               "image_embedding", "prior_start"));
  EXPECT_EQ(std::get<1>(result)[0].description, "must be empty with mix");
  EXPECT_EQ(std::get<1>(result)[2].description, "must be 1 to 16");
  EXPECT_EQ(std::get<1>(result)[3].description, "must be unset with mix");
  EXPECT_EQ(std::get<1>(result)[4].description, "must be unset with mix");
}

TEST(TaskValidation, ListsViolationsOfTheWireAndOfTheModelInOneOrder) {
  v1::GenerateRequest request = MixRequest();
  request.mutable_mix()->mutable_parts(0)->set_weight(kNan);
  request.mutable_mix()->mutable_parts(1)->set_image("x");
  request.mutable_mix()->mutable_parts(1)->set_weight(101);
  request.mutable_mix()->add_parts();
  while (request.mix().parts_size() < 11) request.mutable_mix()->add_parts()->set_text("x");
  request.mutable_mix()->mutable_parts(10)->set_text(" ");
  EXPECT_THAT(WrongFields(Validate(request)),
              ElementsAre("mix.parts[0].weight", "mix.parts[1].image", "mix.parts[1].weight", "mix.parts[3]",
                          "mix.parts[10].text"));
  request = ImageToImageRequest();
  request.mutable_image_to_image()->set_image("x");
  request.mutable_image_to_image()->set_strength(2);
  request.set_priority(static_cast<v1::Priority>(9));
  request.set_steps(0);
  EXPECT_THAT(WrongFields(Validate(request)),
              ElementsAre("image_to_image.image", "image_to_image.strength", "steps", "priority"));
}

TEST(TaskValidation, SaysWhatTheModelSaysOfALongListAndNothingElse) {
  v1::GenerateRequest request = MixRequest();
  for (int i = 0; i < 1000; ++i) request.mutable_mix()->add_parts()->set_weight(kNan);
  EXPECT_THAT(WrongFields(Validate(request)), ElementsAre("mix.parts"));
  Capabilities capabilities = AnyTask();
  capabilities.max_mix_parts = 2;
  const Result result = Validate(MixRequest(), capabilities);
  ASSERT_THAT(WrongFields(result), ElementsAre("mix.parts"));
  EXPECT_EQ(std::get<1>(result).front().description, "must be 1 to 2");
}

TEST(TaskValidation, MeasuresNothingByASizeThatIsWrong) {
  v1::GenerateRequest request = DepthRequest();
  request.set_width(65);
  EXPECT_THAT(WrongFields(Validate(request)), ElementsAre("width"));
  *request.mutable_control_net()->mutable_depth() = PlainTensor({64, 128}, 0.5f);
  EXPECT_THAT(WrongFields(Validate(request)), ElementsAre("width"));
}

TEST(TaskValidation, ADepthMapHasTheSizeOfTheImageOrOfTheHint) {
  Capabilities capabilities = AnyTask();
  capabilities.latent_scale = 4;
  v1::GenerateRequest request = DepthRequest();
  for (const int size : {64, 128}) {
    request.mutable_control_net()->set_depth_image(PlainPng(size, size, 100, 1));
    const Result result = Validate(request, capabilities);
    ASSERT_THAT(WrongFields(result), IsEmpty()) << size;
    EXPECT_EQ(std::get<0>(result).inputs.front().kept_bytes, 3 * 128 * 128 * 4);
  }
  request.mutable_control_net()->set_depth_image(PlainPng(96, 96, 100, 1));
  const Result refused = Validate(request, capabilities);
  ASSERT_THAT(WrongFields(refused), ElementsAre("control_net.depth_image"));
  EXPECT_THAT(std::get<1>(refused).front().description, HasSubstr("64 x 64 or 128 x 128, not 96 x 96"));

  *request.mutable_control_net()->mutable_depth() = PlainTensor({128, 128}, 0.5f);
  EXPECT_THAT(WrongFields(Validate(request, capabilities)), IsEmpty());
  EXPECT_THAT(WrongFields(Validate(request)), ElementsAre("control_net.depth"));
  *request.mutable_control_net()->mutable_depth() = PlainTensor({3, 64, 64}, 0.5f);
  EXPECT_THAT(WrongFields(Validate(request, capabilities)), ElementsAre("control_net.depth"));
}

TEST(TaskValidation, CountsWhatDecodingMayTake) {
  const auto passing_bytes = [](const std::string& image) {
    v1::GenerateRequest request = ImageToImageRequest();
    request.mutable_image_to_image()->set_image(image);
    return std::get<0>(Validate(request)).inputs.front().passing_bytes;
  };
  // Two buffers of four channels, and the coefficients of a JPEG.
  EXPECT_EQ(passing_bytes(PlainPng(600, 500)), 600 * 500 * 8);
  EXPECT_EQ(passing_bytes(JpegOf(PlainImage(600, 500, 1))), 600 * 500 * 16);
  EXPECT_EQ(passing_bytes(JpegOf(PlainImage(4000, 4000, 1))), 16'000'000 * 8 + (100 << 20));
}

TEST(TaskValidation, TellsWhyAImageIsRefused) {
  const auto fault_of = [](const std::string& image) -> std::string {
    v1::GenerateRequest request = ImageToImageRequest();
    request.mutable_image_to_image()->set_image(image);
    const Result result = Validate(request);
    if (result.index() == 0) return "none";
    const char* const fault = std::get<1>(result).front().image_fault;
    return fault == nullptr ? "" : fault;
  };
  EXPECT_EQ(fault_of(std::string((8 << 20) + 1, 'a')), "too_many_bytes");
  EXPECT_EQ(fault_of(PngHeader(4001, 4000)), "too_many_pixels");
  EXPECT_EQ(fault_of(PngHeader(30000, 30000)), "too_many_pixels");
  EXPECT_EQ(fault_of("not an image"), "header");
  EXPECT_EQ(fault_of(PlainPng(1, 1)), "none");
}

TEST(TaskValidation, CountsTheStepsThatStrengthLeaves) {
  v1::LimitsConfig limits = WithDefaults({}).limits();
  limits.set_max_megapixel_steps(64 * 64 * 5 / 1e6);
  v1::GenerateRequest request = ImageToImageRequest();
  request.mutable_image_to_image()->set_strength(0.5);
  EXPECT_EQ(Validate(request, AnyTask(), limits).index(), 0u);
  request.mutable_image_to_image()->set_strength(0.6);
  EXPECT_THAT(WrongFields(Validate(request, AnyTask(), limits)), ElementsAre("steps"));
}

TEST(TaskValidation, LeavesImagesToBePrepared) {
  const Result result = Validate(InpaintRequest());
  ASSERT_EQ(result.index(), 0u);
  const ValidatedRequest& validated = std::get<0>(result);
  ASSERT_THAT(validated.inputs, SizeIs(2));
  EXPECT_EQ(validated.inputs[0].field, "inpaint.image");
  EXPECT_EQ(validated.inputs[0].kept_bytes, 64 * 64 * 3);
  EXPECT_EQ(validated.inputs[0].passing_bytes, 20 * 10 * 16);
  EXPECT_EQ(validated.inputs[1].field, "inpaint.mask");
  EXPECT_EQ(validated.inputs[1].kept_bytes, 64 * 64);
  EXPECT_EQ(std::get<Inpaint>(validated.images.front().task).image, nullptr);
}

TEST(TaskValidation, CarriesTheNumbersOfTheTasksOver) {
  v1::GenerateRequest request = InpaintRequest();
  request.mutable_inpaint()->set_mask_mode(v1::MASK_MODE_SOFT);
  request.mutable_inpaint()->set_paste_back(true);
  request.mutable_inpaint()->set_feather_pixels(12);
  const Inpaint inpaint = std::get<Inpaint>(std::get<0>(Validate(request)).images.front().task);
  EXPECT_TRUE(inpaint.soft);
  EXPECT_TRUE(inpaint.paste_back);
  EXPECT_EQ(inpaint.feather, 12);

  request = MixRequest();
  request.mutable_mix()->mutable_parts(1)->set_weight(-0.5f);
  const Mix mix = *std::get<0>(Validate(request)).images.front().mix;
  ASSERT_THAT(mix.parts, SizeIs(3));
  EXPECT_EQ(std::get<std::string>(mix.parts[0].content), "a cat");
  EXPECT_EQ(mix.parts[0].weight, 1.0f);
  EXPECT_EQ(mix.parts[1].weight, -0.5f);
  EXPECT_EQ(std::get<ImageEmbedding>(mix.parts[2].content)->values, std::vector<float>(kDim, 0.5f));

  request = PriorStartRequest();
  request.mutable_prior_start()->set_strength(0.85);
  EXPECT_EQ(std::get<0>(Validate(request)).images.front().prior_start->strength, 0.85);
  request = Base();
  request.set_negative_prior_prompt("");
  EXPECT_EQ(std::get<0>(Validate(request)).images.front().negative_prior_prompt, "");
}

// Which tasks each network offers.
class Offer : public testing::TestWithParam<const char*> {};

TEST_P(Offer, IsNeededOnceEverythingElseIsRight) {
  Capabilities capabilities = AnyTask();
  capabilities.networks = {GetParam()};
  const std::string network = GetParam();
  const std::pair<v1::GenerateRequest, std::string> cases[] = {{Base(), "decoder"},
                                                               {ImageToImageRequest(), "decoder"},
                                                               {MixRequest(), "decoder"},
                                                               {InpaintRequest(), "inpaint"},
                                                               {DepthRequest(), "controlnet_depth"}};
  for (const auto& [request, needed] : cases) {
    const Result result = Validate(request, capabilities);
    ASSERT_EQ(result.index(), 0u);
    const std::vector<PreconditionViolation>& lacks = std::get<0>(result).lacks;
    if (network == needed) {
      EXPECT_THAT(lacks, IsEmpty());
      continue;
    }
    ASSERT_THAT(lacks, SizeIs(1));
    EXPECT_EQ(lacks.front().type, "TASK");
    EXPECT_THAT(lacks.front().description, HasSubstr(network));
  }
}

INSTANTIATE_TEST_SUITE_P(Networks, Offer, testing::Values("decoder", "inpaint", "controlnet_depth"));

TEST(TaskValidation, NeedsAnImageEncoderForImagesThatAreEmbedded) {
  Capabilities capabilities = AnyTask();
  capabilities.has_image_encoder = false;
  const auto lacks = [&](const v1::GenerateRequest& request) {
    std::vector<std::string> subjects;
    const Result result = Validate(request, capabilities);
    for (const auto& lack : std::get<0>(result).lacks) subjects.push_back(lack.subject);
    return subjects;
  };
  EXPECT_THAT(lacks(MixRequest()), ElementsAre("mix.parts[1].image"));
  EXPECT_THAT(lacks(PriorStartRequest()), ElementsAre("prior_start.image"));
  EXPECT_THAT(lacks(ImageToImageRequest()), IsEmpty());
}

}  // namespace
}  // namespace kandinsky::server
