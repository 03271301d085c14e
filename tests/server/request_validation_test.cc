#include "server/request_validation.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>
#include <limits>

#include "server/config.h"
#include "tests/fakes/fake_pipeline.h"

namespace kandinsky::server {
namespace {

using testing::ElementsAre;
using testing::SizeIs;

constexpr uint64_t kDrawnSeed = 4242;

v1::LimitsConfig DefaultLimits() { return WithDefaults({}).limits(); }

Capabilities DefaultCapabilities() {
  Capabilities capabilities;
  capabilities.samplers = {SamplerKind::kDdpm, SamplerKind::kDdim};
  capabilities.size_multiple = 64;
  capabilities.networks = {"decoder"};
  return capabilities;
}

v1::GenerateRequest MinimalRequest() {
  v1::GenerateRequest request;
  request.set_prompt("a red cat");
  return request;
}

using Result = std::variant<ValidatedRequest, std::vector<FieldViolation>>;

Result Validate(const v1::GenerateRequest& request, ReplyKind reply = ReplyKind::kStream,
                const v1::LimitsConfig& limits = DefaultLimits(),
                const Capabilities& capabilities = DefaultCapabilities()) {
  return ValidateGenerateRequest(request,
                                 {.limits = limits, .model = ModelWith(capabilities), .reply = reply},
                                 [] { return kDrawnSeed; });
}

// The fields that are complained about; empty when the request is valid.
std::vector<std::string> WrongFields(const Result& result) {
  std::vector<std::string> fields;
  if (const auto* violations = std::get_if<1>(&result)) {
    for (const FieldViolation& violation : *violations) fields.push_back(violation.field);
  }
  return fields;
}

std::vector<std::string> WrongFields(const v1::GenerateRequest& request) {
  return WrongFields(Validate(request));
}

struct LimitCase {
  const char* name;
  std::function<void(v1::GenerateRequest&)> change;
  const char* wrong_field;  // "" when the request stays valid
};

class Limit : public testing::TestWithParam<LimitCase> {};

TEST_P(Limit, IsEnforcedExactly) {
  v1::GenerateRequest request = MinimalRequest();
  GetParam().change(request);
  const std::vector<std::string> wrong = WrongFields(request);
  if (std::string(GetParam().wrong_field).empty()) {
    EXPECT_THAT(wrong, testing::IsEmpty());
  } else {
    EXPECT_THAT(wrong, ElementsAre(GetParam().wrong_field));
  }
}

#define CHANGE(statement) [](v1::GenerateRequest& r) { statement; }
constexpr float kNan = std::numeric_limits<float>::quiet_NaN();
constexpr float kInfinity = std::numeric_limits<float>::infinity();

INSTANTIATE_TEST_SUITE_P(Sizes, Limit,
                         testing::Values(LimitCase{"Width0", CHANGE(r.set_width(0)), "width"},
                                         LimitCase{"WidthNegative", CHANGE(r.set_width(-64)), "width"},
                                         LimitCase{"Width1", CHANGE(r.set_width(1)), "width"},
                                         LimitCase{"Width63", CHANGE(r.set_width(63)), "width"},
                                         LimitCase{"Width64", CHANGE(r.set_width(64)), ""},
                                         LimitCase{"Width65", CHANGE(r.set_width(65)), "width"},
                                         LimitCase{"Width1984", CHANGE(r.set_width(1984)), ""},
                                         LimitCase{"Width2048", CHANGE(r.set_width(2048)), ""},
                                         LimitCase{"Width2112", CHANGE(r.set_width(2112)), "width"},
                                         LimitCase{"WidthHuge", CHANGE(r.set_width(INT32_MAX)), "width"},
                                         LimitCase{"Height0", CHANGE(r.set_height(0)), "height"},
                                         LimitCase{"Height2048", CHANGE(r.set_height(2048)), ""},
                                         LimitCase{"Height2049", CHANGE(r.set_height(2049)), "height"}),
                         [](const auto& info) { return info.param.name; });

INSTANTIATE_TEST_SUITE_P(
    Numbers, Limit,
    testing::Values(LimitCase{"Steps0", CHANGE(r.set_steps(0)), "steps"},
                    LimitCase{"Steps1", CHANGE(r.set_steps(1)), ""},
                    LimitCase{"Steps999", CHANGE(r.set_steps(999)), ""},
                    LimitCase{"Steps1000", CHANGE(r.set_steps(1000)), ""},
                    LimitCase{"Steps1001", CHANGE(r.set_steps(1001)), "steps"},
                    LimitCase{"PriorSteps1", CHANGE(r.set_prior_steps(1)), "prior_steps"},
                    LimitCase{"PriorSteps2", CHANGE(r.set_prior_steps(2)), ""},
                    LimitCase{"PriorSteps1000", CHANGE(r.set_prior_steps(1000)), ""},
                    LimitCase{"PriorSteps1001", CHANGE(r.set_prior_steps(1001)), "prior_steps"},
                    LimitCase{"Guidance0", CHANGE(r.set_guidance_scale(0)), ""},
                    LimitCase{"GuidanceNegative", CHANGE(r.set_guidance_scale(-0.001f)), "guidance_scale"},
                    LimitCase{"Guidance100", CHANGE(r.set_guidance_scale(100)), ""},
                    LimitCase{"GuidanceAbove100", CHANGE(r.set_guidance_scale(100.001f)), "guidance_scale"},
                    LimitCase{"GuidanceNan", CHANGE(r.set_guidance_scale(kNan)), "guidance_scale"},
                    LimitCase{"GuidanceInfinite", CHANGE(r.set_guidance_scale(kInfinity)), "guidance_scale"},
                    LimitCase{"PriorGuidanceNan", CHANGE(r.set_prior_guidance_scale(kNan)),
                              "prior_guidance_scale"},
                    LimitCase{"PriorGuidance100", CHANGE(r.set_prior_guidance_scale(100)), ""},
                    LimitCase{"PriorGuidanceMinusInfinite", CHANGE(r.set_prior_guidance_scale(-kInfinity)),
                              "prior_guidance_scale"}),
    [](const auto& info) { return info.param.name; });

INSTANTIATE_TEST_SUITE_P(
    Prompts, Limit,
    testing::Values(
        LimitCase{"PromptUnset", CHANGE(r.clear_prompt()), "prompt"},
        LimitCase{"PromptBlank", CHANGE(r.set_prompt("  ")), "prompt"},
        LimitCase{"Prompt4095", CHANGE(r.set_prompt(std::string(4095, 'a'))), ""},
        LimitCase{"Prompt4096", CHANGE(r.set_prompt(std::string(4096, 'a'))), ""},
        LimitCase{"Prompt4097", CHANGE(r.set_prompt(std::string(4097, 'a'))), "prompt"},
        LimitCase{"PromptNotUtf8", CHANGE(r.set_prompt("\xFF")), "prompt"},
        LimitCase{"NegativeEmpty", CHANGE(r.set_negative_prompt("")), ""},
        LimitCase{"Negative4096", CHANGE(r.set_negative_prompt(std::string(4096, 'a'))), ""},
        LimitCase{"Negative4097", CHANGE(r.set_negative_prompt(std::string(4097, 'a'))), "negative_prompt"},
        LimitCase{"NegativeWithNul", CHANGE(r.set_negative_prompt(std::string(1, '\0'))), "negative_prompt"}),
    [](const auto& info) { return info.param.name; });

INSTANTIATE_TEST_SUITE_P(
    Choices, Limit,
    testing::Values(
        LimitCase{"SamplerUnspecified", CHANGE(r.set_sampler(v1::SAMPLER_UNSPECIFIED)), ""},
        LimitCase{"SamplerUnknown", CHANGE(r.set_sampler(static_cast<v1::Sampler>(99))), "sampler"},
        LimitCase { "EtaWithDdim", CHANGE(r.set_sampler(v1::SAMPLER_DDIM); r.set_eta(1)), "" },
        LimitCase { "EtaAbove1", CHANGE(r.set_sampler(v1::SAMPLER_DDIM); r.set_eta(1.001f)), "eta" },
        LimitCase { "EtaNan", CHANGE(r.set_sampler(v1::SAMPLER_DDIM); r.set_eta(kNan)), "eta" },
        LimitCase { "EtaWithDdpm", CHANGE(r.set_sampler(v1::SAMPLER_DDPM); r.set_eta(0.5f)), "eta" },
        LimitCase { "EtaZeroWithDdpm", CHANGE(r.set_sampler(v1::SAMPLER_DDPM); r.set_eta(0)), "" },
        LimitCase{"FormatUnknown", CHANGE(r.mutable_output()->set_format(static_cast<v1::OutputFormat>(77))),
                  "output.format"},
        LimitCase{"FormatLatent", CHANGE(r.mutable_output()->set_format(v1::OUTPUT_FORMAT_LATENT)), ""},
        LimitCase{"ModelWithSlash", CHANGE(r.set_model("../x")), "model"},
        LimitCase{"RequestIdEmpty", CHANGE(r.set_request_id("")), "request_id"},
        LimitCase{"RequestIdWithSpace", CHANGE(r.set_request_id("a b")), "request_id"},
        LimitCase{"RequestId128", CHANGE(r.set_request_id(std::string(128, 'x'))), ""},
        LimitCase{"RequestId129", CHANGE(r.set_request_id(std::string(129, 'x'))), "request_id"},
        LimitCase{"PriorityHigh", CHANGE(r.set_priority(v1::PRIORITY_HIGH)), ""},
        LimitCase{"PriorityUnknown", CHANGE(r.set_priority(static_cast<v1::Priority>(9))), "priority"},
        LimitCase{"PreviewWithoutSteps", CHANGE(r.mutable_preview()), ""},
        LimitCase{"PreviewEvery0", CHANGE(r.mutable_preview()->set_every_steps(0)), "preview.every_steps"},
        LimitCase{"PreviewEvery1", CHANGE(r.mutable_preview()->set_every_steps(1)), ""},
        LimitCase{"PreviewEvery1000", CHANGE(r.mutable_preview()->set_every_steps(1000)), ""},
        LimitCase{"PreviewEvery1001", CHANGE(r.mutable_preview()->set_every_steps(1001)),
                  "preview.every_steps"},
        LimitCase{"DetachWithoutId", CHANGE(r.set_detach(true)), "detach"},
        LimitCase { "DetachWithId", CHANGE(r.set_detach(true); r.set_request_id("x")), "" }),
    [](const auto& info) { return info.param.name; });

INSTANTIATE_TEST_SUITE_P(
    Images, Limit,
    testing::Values(
        LimitCase{"Count0", CHANGE(r.set_image_count(0)), "image_count"},
        LimitCase{"Count7", CHANGE(r.set_image_count(7)), ""},
        LimitCase{"Count8", CHANGE(r.set_image_count(8)), ""},
        LimitCase{"Count9", CHANGE(r.set_image_count(9)), "image_count"},
        LimitCase { "Seeds8", CHANGE(for (int i = 0; i < 8; ++i) r.add_seeds(1)), "" },
        LimitCase { "Seeds9", CHANGE(for (int i = 0; i < 9; ++i) r.add_seeds(1)), "seeds" },
        LimitCase { "SeedsFewerThanCount", CHANGE(r.set_image_count(2); r.add_seeds(1)), "seeds" },
        LimitCase { "SeedsAsManyAsCount", CHANGE(r.set_image_count(1); r.add_seeds(1)), "" }),
    [](const auto& info) { return info.param.name; });

TEST(RequestValidation, ReportsEveryViolation) {
  v1::GenerateRequest request;
  request.set_width(1);
  request.set_height(2);
  request.set_steps(0);
  request.set_guidance_scale(kNan);
  request.set_sampler(static_cast<v1::Sampler>(99));
  request.set_image_count(0);
  request.set_request_id("?");
  EXPECT_THAT(WrongFields(request), ElementsAre("prompt", "width", "height", "steps", "guidance_scale",
                                                "sampler", "image_count", "request_id"));
}

INSTANTIATE_TEST_SUITE_P(
    Outputs, Limit,
    testing::Values(
        LimitCase{"QualityOfPng", CHANGE(r.mutable_output()->set_quality(90)), "output.quality"},
        LimitCase {
          "QualityOfJpeg1",
              CHANGE(r.mutable_output()->set_format(v1::OUTPUT_FORMAT_JPEG);
                     r.mutable_output()->set_quality(1)),
              ""
        },
        LimitCase {
          "QualityOfJpeg0",
              CHANGE(r.mutable_output()->set_format(v1::OUTPUT_FORMAT_JPEG);
                     r.mutable_output()->set_quality(0)),
              "output.quality"
        },
        LimitCase {
          "QualityOfWebp100",
              CHANGE(r.mutable_output()->set_format(v1::OUTPUT_FORMAT_WEBP);
                     r.mutable_output()->set_quality(100)),
              ""
        },
        LimitCase {
          "QualityOfWebp101",
              CHANGE(r.mutable_output()->set_format(v1::OUTPUT_FORMAT_WEBP);
                     r.mutable_output()->set_quality(101)),
              "output.quality"
        },
        LimitCase{"ParametersInPng", CHANGE(r.mutable_output()->set_embed_parameters(true)), ""},
        LimitCase {
          "ParametersInWebp",
              CHANGE(r.mutable_output()->set_format(v1::OUTPUT_FORMAT_WEBP);
                     r.mutable_output()->set_embed_parameters(true)),
              "output.embed_parameters"
        }),
    [](const auto& info) { return info.param.name; });

TEST(RequestValidation, OffersEverySamplerThatTheModelHas) {
  Capabilities capabilities = DefaultCapabilities();
  const std::pair<v1::Sampler, SamplerKind> samplers[] = {
      {v1::SAMPLER_DDPM, SamplerKind::kDdpm},
      {v1::SAMPLER_DDIM, SamplerKind::kDdim},
      {v1::SAMPLER_DDPM_LEARNED_RANGE, SamplerKind::kDdpmLearnedRange},
      {v1::SAMPLER_EULER, SamplerKind::kEuler},
      {v1::SAMPLER_EULER_ANCESTRAL, SamplerKind::kEulerAncestral},
      {v1::SAMPLER_DPM_SOLVER_MULTISTEP, SamplerKind::kDpmSolverMultistep}};
  for (const auto& [name, kind] : samplers) {
    v1::GenerateRequest request = MinimalRequest();
    request.set_sampler(name);
    capabilities.samplers = {};
    EXPECT_THAT(WrongFields(Validate(request, ReplyKind::kStream, DefaultLimits(), capabilities)),
                ElementsAre("sampler"));
    capabilities.samplers = {kind};
    const Result result = Validate(request, ReplyKind::kStream, DefaultLimits(), capabilities);
    ASSERT_EQ(result.index(), 0u) << v1::Sampler_Name(name);
    EXPECT_EQ(std::get<0>(result).images.front().sampler, kind);
  }
}

TEST(RequestValidation, NamesRuleAndLimits) {
  v1::GenerateRequest request = MinimalRequest();
  request.set_width(100);
  const Result result = Validate(request);
  ASSERT_EQ(result.index(), 1u);
  EXPECT_EQ(std::get<1>(result).front().description, "must be a multiple of 64 from 64 to 2048 pixels");
}

TEST(RequestValidation, AllowsTheSmallestSizeOfAModelWithASmallerMultiple) {
  Capabilities capabilities = DefaultCapabilities();
  capabilities.size_multiple = 16;
  v1::GenerateRequest request = MinimalRequest();
  for (const auto& [size, valid] : {std::pair{15, false}, {16, true}, {17, false}, {32, true}}) {
    request.set_width(size);
    request.set_height(size);
    EXPECT_EQ(Validate(request, ReplyKind::kStream, DefaultLimits(), capabilities).index() == 0, valid)
        << size;
  }
}

TEST(RequestValidation, RefusesASamplerThatTheModelLacks) {
  Capabilities capabilities = DefaultCapabilities();
  capabilities.samplers = {SamplerKind::kDdpm};
  v1::GenerateRequest request = MinimalRequest();
  request.set_sampler(v1::SAMPLER_DDIM);
  EXPECT_THAT(WrongFields(Validate(request, ReplyKind::kStream, DefaultLimits(), capabilities)),
              ElementsAre("sampler"));
}

TEST(RequestValidation, RefusesMoreStepsThanTheModelAllows) {
  Capabilities capabilities = DefaultCapabilities();
  capabilities.max_steps = 100;
  capabilities.max_prior_steps = 50;
  v1::GenerateRequest request = MinimalRequest();
  request.set_steps(100);
  EXPECT_EQ(Validate(request, ReplyKind::kStream, DefaultLimits(), capabilities).index(), 0u);
  request.set_prior_steps(50);
  EXPECT_EQ(Validate(request, ReplyKind::kStream, DefaultLimits(), capabilities).index(), 0u);
  request.set_steps(101);
  request.set_prior_steps(51);
  EXPECT_THAT(WrongFields(Validate(request, ReplyKind::kStream, DefaultLimits(), capabilities)),
              ElementsAre("steps", "prior_steps"));
}

TEST(RequestValidation, DefaultsObeyTheLimitsToo) {
  v1::LimitsConfig limits = DefaultLimits();
  limits.set_max_size(300);
  limits.set_max_steps(20);
  limits.set_max_prior_steps(10);
  v1::GenerateRequest request;
  request.set_prompt("a red cat");
  const auto checked = Validate(request, ReplyKind::kStream, limits, DefaultCapabilities());
  ASSERT_EQ(checked.index(), 0u);
  const GenerationRequest& image = std::get<ValidatedRequest>(checked).images.front();
  EXPECT_EQ(image.width, 256);  // the largest multiple of 64 within the limit
  EXPECT_EQ(image.height, 256);
  EXPECT_EQ(image.steps, 20);
  EXPECT_EQ(image.prior_steps, 10);
}

TEST(RequestValidation, TakesTheDefaultsOfTheModel) {
  Capabilities capabilities = DefaultCapabilities();
  capabilities.defaults = {.width = 768,
                           .height = 640,
                           .steps = 30,
                           .guidance_scale = 1.5f,
                           .prior_steps = 5,
                           .prior_guidance_scale = 2.5f};
  const Result checked = Validate(MinimalRequest(), ReplyKind::kStream, DefaultLimits(), capabilities);
  ASSERT_EQ(checked.index(), 0u);
  const GenerationRequest& image = std::get<0>(checked).images.front();
  EXPECT_EQ(image.width, 768);
  EXPECT_EQ(image.height, 640);
  EXPECT_EQ(image.steps, 30);
  EXPECT_EQ(image.guidance_scale, 1.5f);
  EXPECT_EQ(image.prior_steps, 5);
  EXPECT_EQ(image.prior_guidance_scale, 2.5f);
}

TEST(RequestValidation, BoundsMegapixelsTimesImagesTimesSteps) {
  v1::LimitsConfig limits = DefaultLimits();
  limits.set_max_megapixel_steps(1.31072);  // 256 x 256, two images, ten steps
  v1::GenerateRequest request = MinimalRequest();
  request.set_width(256);
  request.set_height(256);
  request.set_image_count(2);
  for (const auto& [steps, valid] : {std::pair{9, true}, {10, true}, {11, false}}) {
    request.set_steps(steps);
    EXPECT_EQ(Validate(request, ReplyKind::kStream, limits).index() == 0, valid) << steps;
  }
}

TEST(RequestValidation, RefusesAUnaryReplyThatCouldExceedItsLimit) {
  v1::LimitsConfig limits = DefaultLimits();
  limits.set_max_unary_reply_bytes(64 * 64 * 3 * 2);
  v1::GenerateRequest request = MinimalRequest();
  request.set_width(64);
  request.set_height(64);
  request.set_image_count(2);
  EXPECT_EQ(Validate(request, ReplyKind::kUnary, limits).index(), 0u);
  request.set_image_count(3);
  EXPECT_THAT(WrongFields(Validate(request, ReplyKind::kUnary, limits)), ElementsAre("output"));
  EXPECT_EQ(Validate(request, ReplyKind::kStream, limits).index(), 0u);
  request.mutable_output()->set_format(v1::OUTPUT_FORMAT_NONE);
  EXPECT_EQ(Validate(request, ReplyKind::kUnary, limits).index(), 0u);
  limits.set_max_unary_reply_bytes(3 * 4 * 8 * 8 * 4 - 1);
  request.mutable_output()->set_format(v1::OUTPUT_FORMAT_LATENT);
  EXPECT_THAT(WrongFields(Validate(request, ReplyKind::kUnary, limits)), ElementsAre("output"));
  Capabilities finer = DefaultCapabilities();
  finer.latent_scale = 4;
  limits.set_max_unary_reply_bytes(3 * 4 * 16 * 16 * 4);
  const Result fits = Validate(request, ReplyKind::kUnary, limits, finer);
  EXPECT_EQ(std::get<0>(fits).result_bytes, 4 * 16 * 16 * 4);
  limits.set_max_unary_reply_bytes(3 * 4 * 16 * 16 * 4 - 1);
  EXPECT_THAT(WrongFields(Validate(request, ReplyKind::kUnary, limits, finer)), ElementsAre("output"));
}

TEST(RequestValidation, LetsFour512ImagesAndOne1024ImageIntoAUnaryReply) {
  v1::GenerateRequest request = MinimalRequest();
  request.set_image_count(4);
  EXPECT_EQ(Validate(request, ReplyKind::kUnary).index(), 0u);
  request.set_image_count(5);
  EXPECT_EQ(Validate(request, ReplyKind::kUnary).index(), 1u);
  request.set_image_count(1);
  request.set_width(1024);
  request.set_height(1024);
  EXPECT_EQ(Validate(request, ReplyKind::kUnary).index(), 0u);
}

TEST(RequestValidation, CarriesEveryFieldOver) {
  v1::GenerateRequest request = MinimalRequest();
  request.set_negative_prompt("");
  request.mutable_text_to_image();
  request.set_width(128);
  request.set_height(192);
  request.set_steps(7);
  request.set_guidance_scale(1.5f);
  request.set_prior_steps(9);
  request.set_prior_guidance_scale(2.5f);
  request.set_sampler(v1::SAMPLER_DDIM);
  request.set_eta(0.25f);
  request.set_seed(99);
  request.mutable_output()->set_format(v1::OUTPUT_FORMAT_LATENT);
  request.set_request_id("abc");
  request.set_validate_only(true);
  request.set_strict_prompt(true);
  const Result result = Validate(request);
  ASSERT_EQ(result.index(), 0u);
  const auto& validated = std::get<0>(result);
  EXPECT_EQ(validated.request_id, "abc");
  EXPECT_EQ(validated.encoding.format, v1::OUTPUT_FORMAT_LATENT);
  EXPECT_TRUE(validated.validate_only);
  ASSERT_THAT(validated.images, SizeIs(1));
  const GenerationRequest& image = validated.images.front();
  EXPECT_EQ(image.prompt, "a red cat");
  EXPECT_EQ(image.negative_prompt, "");
  EXPECT_EQ(image.width, 128);
  EXPECT_EQ(image.height, 192);
  EXPECT_EQ(image.steps, 7);
  EXPECT_EQ(image.guidance_scale, 1.5f);
  EXPECT_EQ(image.prior_steps, 9);
  EXPECT_EQ(image.prior_guidance_scale, 2.5f);
  EXPECT_EQ(image.sampler, SamplerKind::kDdim);
  EXPECT_EQ(image.eta, 0.25f);
  EXPECT_EQ(image.seed, 99u);
  EXPECT_FALSE(image.output.image);
  EXPECT_TRUE(image.output.latents);
  EXPECT_TRUE(image.strict_prompt);
}

TEST(RequestValidation, CarriesPriorityDetachAndPreviewsOver) {
  v1::GenerateRequest request = MinimalRequest();
  request.set_request_id("abc");
  request.set_priority(v1::PRIORITY_LOW);
  request.set_detach(true);
  request.mutable_preview()->set_every_steps(5);
  const auto validated = std::get<0>(Validate(request));
  EXPECT_EQ(validated.priority, Priority::kLow);
  EXPECT_TRUE(validated.detach);
  EXPECT_EQ(validated.images.front().preview_every_steps, 5);
}

TEST(RequestValidation, RefusesPreviewsInAUnaryCall) {
  v1::GenerateRequest request = MinimalRequest();
  request.mutable_preview()->set_every_steps(5);
  EXPECT_THAT(WrongFields(Validate(request, ReplyKind::kUnary)), ElementsAre("preview"));
}

TEST(RequestValidation, CountsRawPixelsOrLatentsAsAResultsBytes) {
  EXPECT_EQ(ResultBytes(v1::OUTPUT_FORMAT_PNG, 64, 128, 8), 64 * 128 * 3);
  EXPECT_EQ(ResultBytes(v1::OUTPUT_FORMAT_RAW_RGB, 64, 128, 8), 64 * 128 * 3);
  EXPECT_EQ(ResultBytes(v1::OUTPUT_FORMAT_LATENT, 64, 128, 8), 4 * 8 * 16 * 4);
  EXPECT_EQ(ResultBytes(v1::OUTPUT_FORMAT_LATENT, 64, 128, 4), 4 * 16 * 32 * 4);
  EXPECT_EQ(ResultBytes(v1::OUTPUT_FORMAT_NONE, 64, 128, 8), 0);
}

TEST(RequestValidation, FillsInTheDocumentedDefaults) {
  const Result result = Validate(MinimalRequest());
  ASSERT_EQ(result.index(), 0u);
  const auto& validated = std::get<0>(result);
  EXPECT_EQ(validated.encoding.format, v1::OUTPUT_FORMAT_PNG);
  EXPECT_FALSE(validated.encoding.embed_parameters);
  EXPECT_TRUE(validated.inputs.empty());
  EXPECT_TRUE(validated.lacks.empty());
  EXPECT_FALSE(validated.validate_only);
  EXPECT_TRUE(IsValidName(validated.request_id)) << validated.request_id;
  ASSERT_THAT(validated.images, SizeIs(1));
  const GenerationRequest& image = validated.images.front();
  EXPECT_EQ(image.negative_prompt, std::nullopt);
  EXPECT_EQ(image.width, 512);
  EXPECT_EQ(image.height, 512);
  EXPECT_EQ(image.steps, 50);
  EXPECT_EQ(image.guidance_scale, 4.0f);
  EXPECT_EQ(image.prior_steps, 25);
  EXPECT_EQ(image.prior_guidance_scale, 4.0f);
  EXPECT_EQ(image.sampler, SamplerKind::kModelDefault);
  EXPECT_EQ(image.eta, 0.0f);
  EXPECT_EQ(image.seed, kDrawnSeed);
  EXPECT_TRUE(image.output.image);
  EXPECT_FALSE(image.output.latents);
  EXPECT_FALSE(image.strict_prompt);
  EXPECT_EQ(image.preview_every_steps, 0);
  EXPECT_EQ(validated.priority, Priority::kNormal);
  EXPECT_FALSE(validated.detach);
}

std::vector<uint64_t> SeedsOf(const Result& result) {
  std::vector<uint64_t> seeds;
  for (const GenerationRequest& image : std::get<0>(result).images) seeds.push_back(image.seed);
  return seeds;
}

TEST(RequestValidation, CountsSeedsUpFromTheGivenOne) {
  v1::GenerateRequest request = MinimalRequest();
  request.set_seed(10);
  request.set_image_count(3);
  EXPECT_THAT(SeedsOf(Validate(request)), ElementsAre(10, 11, 12));
}

TEST(RequestValidation, WrapsTheLargestSeedAround) {
  v1::GenerateRequest request = MinimalRequest();
  request.set_seed(UINT64_MAX);
  request.set_image_count(2);
  EXPECT_THAT(SeedsOf(Validate(request)), ElementsAre(UINT64_MAX, 0));
}

TEST(RequestValidation, TakesSeedZeroAsGiven) {
  v1::GenerateRequest request = MinimalRequest();
  request.set_seed(0);
  EXPECT_THAT(SeedsOf(Validate(request)), ElementsAre(0));
}

TEST(RequestValidation, PrefersTheListOfSeeds) {
  v1::GenerateRequest request = MinimalRequest();
  request.set_seed(10);
  request.add_seeds(7);
  request.add_seeds(5);
  EXPECT_THAT(SeedsOf(Validate(request)), ElementsAre(7, 5));
}

TEST(RequestValidation, TurnsMinusZeroIntoZero) {
  v1::GenerateRequest request = MinimalRequest();
  request.set_guidance_scale(-0.0f);
  EXPECT_FALSE(std::signbit(std::get<0>(Validate(request)).images.front().guidance_scale));
}

}  // namespace
}  // namespace kandinsky::server
