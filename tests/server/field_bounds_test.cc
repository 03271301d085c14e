// What clients send in floats, in every field that takes them: the bound itself is accepted, anything beyond
// is refused with the field and the bound. And texts and shares of steps, in every field that takes those.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>
#include <fstream>
#include <limits>
#include <nlohmann/json.hpp>
#include <type_traits>

#include "server/config.h"
#include "server/embedding_validation.h"
#include "server/request_validation.h"
#include "tests/fakes/fake_pipeline.h"
#include "tests/server/test_images.h"

namespace kandinsky::server {
namespace {

using testing::AllOf;
using testing::HasSubstr;

constexpr int kDim = 8;

template <typename Check>
std::string Refusal(const Check& check) {
  if (check.index() == 0) return "";
  const FieldViolation& violation = std::get<1>(check).front();
  return violation.field + ": " + violation.description;
}

// "" when the request is right, or else the first violation as "field: rule".
template <typename Request>
std::string RefusalOf(const Request& request) {
  Capabilities capabilities;
  capabilities.networks = {"decoder", "inpaint", "controlnet_depth"};
  capabilities.embedding_dim = kDim;
  capabilities.samplers = {SamplerKind::kDdim};
  const v1::LimitsConfig limits = WithDefaults({}).limits();
  const ValidationRules rules = {.limits = limits, .model = ModelWith(capabilities)};
  const auto seed = [] { return uint64_t{1}; };
  if constexpr (std::is_same_v<Request, v1::GenerateRequest>) {
    return Refusal(ValidateGenerateRequest(request, rules, seed));
  } else {
    return Refusal(ValidateEmbedding(request, rules, seed));
  }
}

v1::GenerateRequest Prompted() {
  v1::GenerateRequest request;
  request.set_prompt("a red cat");
  request.set_width(64);
  request.set_height(64);
  return request;
}

v1::Embedding WithValue(float value) {
  v1::Embedding embedding = PlainEmbedding(kDim, 0.5f);
  embedding.set_values(kDim - 1, value);
  return embedding;
}

v1::FloatTensor WithValue(const std::vector<int>& shape, float value) {
  v1::FloatTensor tensor = PlainTensor(shape, 0);
  tensor.mutable_data()->replace(tensor.data().size() - sizeof(value), sizeof(value),
                                 reinterpret_cast<const char*>(&value), sizeof(value));
  return tensor;
}

struct NumberField {
  const char* name;
  float least;
  float most;
  const char* rule;  // a part of what is said about others
  std::string (*refusal)(float value);
};

class NumberFieldTest : public testing::TestWithParam<NumberField> {};

TEST_P(NumberFieldTest, TakesItsBoundsAndNothingBeyond) {
  const NumberField& field = GetParam();
  for (const float value : {field.least, field.most}) EXPECT_EQ(field.refusal(value), "") << value;
  const float infinity = std::numeric_limits<float>::infinity();
  for (const float value : {std::nextafter(field.least, -infinity), std::nextafter(field.most, infinity),
                            1e30f, -1e30f, infinity, -infinity, std::nanf("")}) {
    EXPECT_THAT(field.refusal(value), AllOf(HasSubstr(std::string(field.name) + ": "), HasSubstr(field.rule)))
        << value;
  }
}

constexpr char kEmbeddingRule[] = "must have exactly 8 values from -1000 to 1000";

INSTANTIATE_TEST_SUITE_P(
    Every, NumberFieldTest,
    testing::Values(NumberField{"image_embedding", -1000, 1000, kEmbeddingRule,
                                [](float value) {
                                  v1::GenerateRequest request = Prompted();
                                  request.clear_prompt();
                                  *request.mutable_image_embedding() = WithValue(value);
                                  return RefusalOf(request);
                                }},
                    NumberField{"negative_image_embedding", -1000, 1000, kEmbeddingRule,
                                [](float value) {
                                  v1::GenerateRequest request = Prompted();
                                  *request.mutable_negative_image_embedding() = WithValue(value);
                                  return RefusalOf(request);
                                }},
                    NumberField{"mix.parts[1].embedding", -1000, 1000, kEmbeddingRule,
                                [](float value) {
                                  v1::GenerateRequest request = Prompted();
                                  request.clear_prompt();
                                  request.mutable_mix()->add_parts()->set_text("a cat");
                                  *request.mutable_mix()->add_parts()->mutable_embedding() = WithValue(value);
                                  return RefusalOf(request);
                                }},
                    NumberField{"mix.parts[0].weight", -100, 100, "must be a finite number from -100 to 100",
                                [](float value) {
                                  v1::GenerateRequest request = Prompted();
                                  request.clear_prompt();
                                  v1::MixPart* part = request.mutable_mix()->add_parts();
                                  part->set_text("a cat");
                                  part->set_weight(value);
                                  return RefusalOf(request);
                                }},
                    NumberField{"prior_start.embedding", -1000, 1000, kEmbeddingRule,
                                [](float value) {
                                  v1::GenerateRequest request = Prompted();
                                  *request.mutable_prior_start()->mutable_embedding() = WithValue(value);
                                  return RefusalOf(request);
                                }},
                    NumberField{
                        "control_net.depth", 0, 1, "must have values from 0 to 1 only",
                        [](float value) {
                          v1::GenerateRequest request = Prompted();
                          *request.mutable_control_net()->mutable_depth() = WithValue({64, 64}, value);
                          return RefusalOf(request);
                        }},
                    NumberField{"guidance_scale", 0, 100, "must be a finite number from 0 to 100",
                                [](float value) {
                                  v1::GenerateRequest request = Prompted();
                                  request.set_guidance_scale(value);
                                  return RefusalOf(request);
                                }},
                    NumberField{"prior_guidance_scale", 0, 100, "must be a finite number from 0 to 100",
                                [](float value) {
                                  v1::GenerateRequest request = Prompted();
                                  request.set_prior_guidance_scale(value);
                                  return RefusalOf(request);
                                }},
                    NumberField{"eta", 0, 1, "must be a finite number from 0 to 1",
                                [](float value) {
                                  v1::GenerateRequest request = Prompted();
                                  request.set_sampler(v1::SAMPLER_DDIM);
                                  request.set_eta(value);
                                  return RefusalOf(request);
                                }}),
    [](const auto& info) { return "Field" + std::to_string(info.index); });

INSTANTIATE_TEST_SUITE_P(
    EveryOfTheEmbeddingService, NumberFieldTest,
    testing::Values(NumberField{"prior_start.embedding", -1000, 1000, kEmbeddingRule,
                                [](float value) {
                                  v1::GenerateImageEmbeddingRequest request;
                                  request.set_prompt("a cat");
                                  *request.mutable_prior_start()->mutable_embedding() = WithValue(value);
                                  return RefusalOf(request);
                                }},
                    NumberField{"prior_guidance_scale", 0, 100, "must be a finite number from 0 to 100",
                                [](float value) {
                                  v1::GenerateImageEmbeddingRequest request;
                                  request.set_prompt("a cat");
                                  request.set_prior_guidance_scale(value);
                                  return RefusalOf(request);
                                }},
                    NumberField{"pixels", -1, 1, "must have values from -1 to 1 only",
                                [](float value) {
                                  v1::EncodeLatentsRequest request;
                                  *request.mutable_pixels() = WithValue({3, 64, 64}, value);
                                  return RefusalOf(request);
                                }},
                    NumberField{"latents", -10'000, 10'000, "must have values from -10000 to 10000 only",
                                [](float value) {
                                  v1::DecodeLatentsRequest request;
                                  *request.mutable_latents() = WithValue({4, 8, 8}, value);
                                  return RefusalOf(request);
                                }}),
    [](const auto& info) { return "Field" + std::to_string(info.index); });

// Fields with a text, and whether it may be of white space alone.
struct TextField {
  const char* name;
  bool may_be_blank;
  std::string (*refusal)(const std::string& text);
};

class TextFieldTest : public testing::TestWithParam<TextField> {};

TEST_P(TextFieldTest, KnowsEveryKindOfWhiteSpace) {
  const TextField& field = GetParam();
  for (const std::string space :
       {"\t", "\n", "\v", "\f", "\r", "\r\n", " ", "\u0085", "\u00A0", "\u1680", "\u2000", "\u2007", "\u200A",
        "\u2028", "\u2029", "\u202F", "\u205F", "\u3000"}) {
    EXPECT_EQ(field.refusal("a red cat" + space + space + "on a roof" + space), "") << space;
    for (const std::string& blank : {space, space + space, space + " " + space}) {
      const std::string expected = std::string(field.name) + ": must not be empty or only white space";
      EXPECT_EQ(field.refusal(blank), field.may_be_blank ? "" : expected) << space;
    }
  }
  for (const std::string& text :
       {std::string("a\x1C"), std::string("\x1F"), std::string("a\b"), std::string("\x1B[0m"),
        std::string("a\x7F"), std::string("a\u0084"), std::string("a\0", 2)}) {
    EXPECT_THAT(field.refusal(text),
                HasSubstr(std::string(field.name) + ": must not contain control characters"));
  }
}

INSTANTIATE_TEST_SUITE_P(Every, TextFieldTest,
                         testing::Values(TextField{"prompt", false,
                                                   [](const std::string& text) {
                                                     v1::GenerateRequest request = Prompted();
                                                     request.set_prompt(text);
                                                     return RefusalOf(request);
                                                   }},
                                         TextField{"negative_prompt", true,
                                                   [](const std::string& text) {
                                                     v1::GenerateRequest request = Prompted();
                                                     request.set_negative_prompt(text);
                                                     return RefusalOf(request);
                                                   }},
                                         TextField{"negative_prior_prompt", true,
                                                   [](const std::string& text) {
                                                     v1::GenerateRequest request = Prompted();
                                                     request.set_negative_prior_prompt(text);
                                                     return RefusalOf(request);
                                                   }},
                                         TextField{"mix.parts[0].text", false,
                                                   [](const std::string& text) {
                                                     v1::GenerateRequest request = Prompted();
                                                     request.clear_prompt();
                                                     request.mutable_mix()->add_parts()->set_text(text);
                                                     return RefusalOf(request);
                                                   }},
                                         TextField{"texts[1]", true,
                                                   [](const std::string& text) {
                                                     v1::EmbedTextRequest request;
                                                     request.add_texts("a cat");
                                                     request.add_texts(text);
                                                     return RefusalOf(request);
                                                   }},
                                         TextField{"prompt", false,
                                                   [](const std::string& text) {
                                                     v1::GenerateImageEmbeddingRequest request;
                                                     request.set_prompt(text);
                                                     return RefusalOf(request);
                                                   }},
                                         TextField{"negative_prompt", true,
                                                   [](const std::string& text) {
                                                     v1::GenerateImageEmbeddingRequest request;
                                                     request.set_prompt("a cat");
                                                     request.set_negative_prompt(text);
                                                     return RefusalOf(request);
                                                   }},
                                         TextField{"negative_prior_prompt", true,
                                                   [](const std::string& text) {
                                                     v1::GenerateImageEmbeddingRequest request;
                                                     request.set_prompt("a cat");
                                                     request.set_negative_prior_prompt(text);
                                                     return RefusalOf(request);
                                                   }}),
                         [](const auto& info) { return "Field" + std::to_string(info.index); });

// Steps that a request runs in a stage; 0 when it is refused because none is left.
int StepsOf(const v1::GenerateRequest& request, Stage stage, const std::string& field) {
  Capabilities capabilities;
  capabilities.networks = {"decoder", "inpaint", "controlnet_depth"};
  const v1::LimitsConfig limits = WithDefaults({}).limits();
  const auto check = ValidateGenerateRequest(request, {.limits = limits, .model = ModelWith(capabilities)},
                                             [] { return uint64_t{1}; });
  if (const auto* valid = std::get_if<ValidatedRequest>(&check)) {
    return valid->plan->StepsOf(stage);
  }
  EXPECT_THAT(Refusal(check), HasSubstr(field + ": strength"));
  return 0;
}

TEST(StrengthTest, RunsTheStepsThatDiffusersRunsAtEveryFraction) {
  std::ifstream file(KANDINSKY_SOURCE_DIR "/tests/golden/diffusers/steps_at_strength.json");
  const nlohmann::json rows = nlohmann::json::parse(file);
  ASSERT_EQ(rows.size(), 100U);
  v1::GenerateRequest change = Prompted();
  change.mutable_image_to_image()->set_image(PlainPng(64, 64));
  v1::GenerateRequest follow = Prompted();
  follow.mutable_control_net()->set_depth_image(PlainPng(64, 64, 100, 1));
  follow.mutable_control_net()->set_image(PlainPng(64, 64));
  v1::GenerateRequest start = Prompted();
  start.mutable_prior_start()->set_image(PlainPng(64, 64));
  for (int steps = 1; steps <= 100; ++steps) {
    for (int k = 1; k <= steps; ++k) {
      SCOPED_TRACE(testing::Message() << k << "/" << steps);
      const double strength = static_cast<double>(k) / steps;
      const int expected = rows[static_cast<size_t>(steps) - 1].at(static_cast<size_t>(k) - 1);
      change.set_steps(steps);
      change.mutable_image_to_image()->set_strength(strength);
      EXPECT_EQ(StepsOf(change, Stage::kDenoise, "image_to_image.strength"), expected);
      follow.set_steps(steps);
      follow.mutable_control_net()->set_strength(strength);
      EXPECT_EQ(StepsOf(follow, Stage::kDenoise, "control_net.strength"), expected);
      if (steps < 2) continue;  // which the prior does not do
      start.set_prior_steps(steps);
      start.mutable_prior_start()->set_strength(strength);
      EXPECT_EQ(StepsOf(start, Stage::kPrior, "prior_start.strength"), expected);
    }
  }
}

}  // namespace
}  // namespace kandinsky::server
