#include "pipeline/kandinsky/model_configs.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <nlohmann/json.hpp>
#include <optional>
#include <string>

namespace kandinsky {
namespace {

using nlohmann::json;
using ::testing::AllOf;
using ::testing::ElementsAre;
using ::testing::HasSubstr;

TEST(ModelConfigsTest, ReadsPublishedKeysAndIgnoresTheRest) {
  const json object = json::parse(R"({"_class_name": "UNet2DConditionModel", "block_out_channels": [32, 64],
      "down_block_types": ["ResnetDownsampleBlock2D", "SimpleCrossAttnDownBlock2D"],
      "up_block_types": ["SimpleCrossAttnUpBlock2D", "ResnetUpsampleBlock2D"], "in_channels": 9,
      "attention_head_dim": 16, "norm_num_groups": 8, "class_embed_type": null, "norm_eps": 1e-5})");
  const auto config = ParseUNetConfig("unet/config.json", object);
  ASSERT_TRUE(config.ok()) << config.status();
  EXPECT_THAT(config->block_out_channels, ElementsAre(32, 64));
  EXPECT_EQ(config->in_channels, 9);
  EXPECT_EQ(config->attention_head_dim, 16);
}

TEST(ModelConfigsTest, NullKeepsTheDefault) {
  const auto config = ParseClipTextConfig("c", json::parse(R"({"hidden_act": null, "eos_token_id": 2})"));
  ASSERT_TRUE(config.ok()) << config.status();
  EXPECT_EQ(config->hidden_act, "quick_gelu");
  EXPECT_EQ(config->eos_token_id, 2);
}

TEST(ModelConfigsTest, NamesFileAndKeyOfAWrongType) {
  EXPECT_THAT(std::string(ParseClipTextConfig("te/config.json", json::parse(R"({"hidden_size": "wide"})"))
                              .status()
                              .message()),
              AllOf(HasSubstr("te/config.json"), HasSubstr("hidden_size")));
  EXPECT_THAT(std::string(ParsePriorConfig("p", json::parse(R"({"num_layers": 2.5})")).status().message()),
              HasSubstr("num_layers"));
  EXPECT_THAT(
      std::string(
          ParseVQModelConfig("m", json::parse(R"({"block_out_channels": [32, "x"]})")).status().message()),
      HasSubstr("block_out_channels"));
  EXPECT_THAT(
      std::string(
          ParseSamplerConfig("s", json::parse(R"({"steps_offset": 5000000000})"), {}).status().message()),
      HasSubstr("steps_offset"));
}

TEST(ModelConfigsTest, RefusesAnythingButAnObject) {
  EXPECT_FALSE(ParsePriorConfig("p", json::parse("[1, 2]")).ok());
  EXPECT_FALSE(ParseSamplerConfig("s", json::parse("3"), {}).ok());
}

TEST(ModelConfigsTest, RefusesValuesThatTheModulesDoNotImplement) {
  EXPECT_THAT(std::string(ParseUNetConfig("unet/config.json",
                                          json::parse(R"({"resnet_time_scale_shift": "default"})"))
                              .status()
                              .message()),
              AllOf(HasSubstr("unet/config.json"), HasSubstr("resnet_time_scale_shift")));
}

TEST(ModelConfigsTest, SamplerFilesKeepTheDefaultsOfTheirClass) {
  const auto unclip = ParseSamplerConfig(
      "s",
      json::parse(R"({"clip_sample_range": 10.0, "prediction_type": "sample", "num_train_timesteps": 1000})"),
      UnclipDefaults());
  ASSERT_TRUE(unclip.ok());
  EXPECT_EQ(unclip->beta_schedule, "squaredcos_cap_v2");
  EXPECT_EQ(unclip->variance_type, "fixed_small_log");
  EXPECT_EQ(unclip->clip_sample_range, 10.0f);
  EXPECT_TRUE(unclip->clip_sample);
}

TEST(ModelConfigsTest, SamplerKindComesFromTheClassName) {
  EXPECT_EQ(*ParseSamplerKind("s", json::parse("{}")), SamplerKind::kDdpm);
  EXPECT_EQ(*ParseSamplerKind("s", json::parse(R"({"_class_name": "DDPMScheduler"})")), SamplerKind::kDdpm);
  EXPECT_EQ(*ParseSamplerKind("s", json::parse(R"({"_class_name": "DDIMScheduler"})")), SamplerKind::kDdim);
  EXPECT_EQ(*ParseSamplerKind("s", json::parse(R"({"_class_name": "EulerDiscreteScheduler"})")),
            SamplerKind::kEuler);
  EXPECT_EQ(*ParseSamplerKind("s", json::parse(R"({"_class_name": "EulerAncestralDiscreteScheduler"})")),
            SamplerKind::kEulerAncestral);
  EXPECT_EQ(*ParseSamplerKind("s", json::parse(R"({"_class_name": "DPMSolverMultistepScheduler"})")),
            SamplerKind::kDpmSolverMultistep);
  EXPECT_THAT(
      std::string(
          ParseSamplerKind("s", json::parse(R"({"_class_name": "PNDMScheduler"})")).status().message()),
      HasSubstr("PNDMScheduler"));
}

TEST(ModelConfigsTest, DdpmFilesMayAskForThePredictedVariance) {
  const auto kind = [](const char* variance_type) {
    return *ParseSamplerKind("s", {{"_class_name", "DDPMScheduler"}, {"variance_type", variance_type}});
  };
  EXPECT_EQ(kind("learned_range"), SamplerKind::kDdpmLearnedRange);
  EXPECT_EQ(kind("fixed_small"), SamplerKind::kDdpm);
  EXPECT_EQ(*ParseSamplerKind("s", json::parse(R"({"variance_type": null})")), SamplerKind::kDdpm);
}

TEST(ModelConfigsTest, SamplerFilesKeepTheSpacingOpenUnlessTheyNameIt) {
  EXPECT_EQ(ParseSamplerConfig("s", json::parse("{}"), {})->timestep_spacing, std::nullopt);
  EXPECT_EQ(ParseSamplerConfig("s", json::parse(R"({"timestep_spacing": null})"), {})->timestep_spacing,
            std::nullopt);
  EXPECT_EQ(ParseSamplerConfig("s", json::parse(R"({"timestep_spacing": "leading"})"), {})->timestep_spacing,
            "leading");
  EXPECT_THAT(
      std::string(ParseSamplerConfig("s", json::parse(R"({"timestep_spacing": 3})"), {}).status().message()),
      HasSubstr("timestep_spacing"));
}

TEST(ModelConfigsTest, ReadsTheKeysOfTheSolvers) {
  const auto config = ParseSamplerConfig(
      "s", json::parse(R"({"use_karras_sigmas": true, "use_exponential_sigmas": true, "use_beta_sigmas": true,
          "use_lu_lambdas": true, "use_flow_sigmas": true, "solver_order": 3, "solver_type": "heun",
          "algorithm_type": "dpmsolver", "final_sigmas_type": "sigma_min", "interpolation_type": "log_linear",
          "lambda_min_clipped": -5.1})"),
      {});
  ASSERT_TRUE(config.ok()) << config.status();
  EXPECT_TRUE(config->use_karras_sigmas && config->use_exponential_sigmas && config->use_beta_sigmas);
  EXPECT_TRUE(config->use_lu_lambdas && config->use_flow_sigmas);
  EXPECT_EQ(config->solver_order, 3);
  EXPECT_EQ(config->solver_type, "heun");
  EXPECT_EQ(config->algorithm_type, "dpmsolver");
  EXPECT_EQ(config->final_sigmas_type, "sigma_min");
  EXPECT_EQ(config->interpolation_type, "log_linear");
  EXPECT_EQ(config->lambda_min_clipped, -5.1f);
}

TEST(ModelConfigsTest, RefusesBetasThatTheSamplersDoNotImplement) {
  EXPECT_TRUE(ParseSamplerConfig("s", json::parse(R"({"trained_betas": null})"), {}).ok());
  EXPECT_THAT(
      std::string(ParseSamplerConfig("s", json::parse(R"({"trained_betas": [0.1]})"), {}).status().message()),
      HasSubstr("trained_betas"));
  EXPECT_THAT(
      std::string(
          ParseSamplerConfig("s", json::parse(R"({"rescale_betas_zero_snr": true})"), {}).status().message()),
      HasSubstr("rescale_betas_zero_snr"));
}

}  // namespace
}  // namespace kandinsky
