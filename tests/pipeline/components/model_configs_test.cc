#include "pipeline/components/model_configs.h"

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
      "attention_head_dim": 16, "norm_num_groups": 8, "class_embed_type": null, "norm_eps": 1e-5,
      "sample_size": 16})");
  const auto config = ParseUNetConfig("unet/config.json", object);
  ASSERT_TRUE(config.ok()) << config.status();
  EXPECT_THAT(config->block_out_channels, ElementsAre(32, 64));
  EXPECT_EQ(config->in_channels, 9);
  EXPECT_EQ(config->attention_head_dim, 16);
  EXPECT_EQ(config->sample_size, 16);
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

TEST(ModelConfigsTest, AWrongTypeIsToldWithValueAndType) {
  EXPECT_EQ(ParseClipTextConfig("c", json::parse(R"({"hidden_size": "wide"})")).status().message(),
            "c: hidden_size is \"wide\", not a 64-bit integer");
  EXPECT_EQ(ParseSamplerConfig("s", json::parse(R"({"clip_sample": 1})"), {}).status().message(),
            "s: clip_sample is 1, not true or false");
  EXPECT_EQ(ParseClipProcessorConfig("p", json::parse(R"({"image_mean": 0.5})")).status().message(),
            "p: image_mean is 0.5, not a list whose entries are each a number");
}

// A preparation of images: what the file says beside the published defaults, as transformers 5.23 reads it.
ClipProcessorConfig Processor(const char* text) {
  const auto config = ParseClipProcessorConfig("p", json::parse(text));
  EXPECT_TRUE(config.ok()) << text << config.status();
  return config.value_or(ClipProcessorConfig{.image_size = -1});
}

TEST(ModelConfigsTest, EveryFormOfAImagesSizeIsRead) {
  for (
      const char* text :
      {R"({"size": {"shortest_edge": 28}, "crop_size": {"height": 28, "width": 28}})",
       R"({"size": 28, "crop_size": 28})", R"({"size": {"shortest_edge": 28}, "crop_size": [28, 28]})",
       R"({"size": {"shortest_edge": 28, "longest_edge": null}, "crop_size": 28, "use_square_size": false})"}) {
    EXPECT_EQ(Processor(text).image_size, 28) << text;
    EXPECT_FALSE(Processor(text).squeezes) << text;
  }
  for (const char* text :
       {R"({"size": {"height": 28, "width": 28}, "crop_size": {"height": 28, "width": 28}})",
        R"({"size": [28, 28], "crop_size": 28})",
        R"({"size": 28, "crop_size": 28, "default_to_square": true})",
        R"({"size": {"height": 28, "width": 28}, "do_center_crop": false})"}) {
    EXPECT_EQ(Processor(text).image_size, 28) << text;
    EXPECT_TRUE(Processor(text).squeezes) << text;
  }
  EXPECT_EQ(Processor("{}").image_size, 224);
  EXPECT_FALSE(Processor("{}").squeezes);
  EXPECT_TRUE(Processor(R"({"use_square_size": true})").squeezes);
}

TEST(ModelConfigsTest, OtherPreparationsOfImagesAreRefusedByFileAndKey) {
  for (const auto& [text, key] :
       {std::pair{R"({"size": {"height": 28, "width": 30}, "crop_size": 28})",
                  "size {\"height\":28,\"width\":30}"},
        {R"({"size": {"shortest_edge": 32}, "crop_size": 28})", "size {\"shortest_edge\":32}"},
        {R"({"crop_size": 28})", "size {\"shortest_edge\":224}"},
        {R"({"size": 28})", "size 28"},
        {R"({"size": {"height": 28, "width": 28, "shortest_edge": 28}})", "size"},
        {R"({"size": {"longest_edge": 28}})", "size"},
        {R"({"size": {"shortest_edge": 28, "longest_edge": 30}, "crop_size": 28})", "size"},
        {R"({"size": "large"})", "size \"large\""},
        {R"({"size": 0, "crop_size": 0})", "size 0"},
        {R"({"size": 28.5, "crop_size": 28})", "size 28.5"},
        {R"({"size": 28, "crop_size": {"height": 28, "width": 30}})", "crop_size"},
        {R"({"size": 28, "crop_size": {"shortest_edge": 28}})", "crop_size"},
        {R"({"do_center_crop": false})", "do_center_crop false"},
        {R"({"do_resize": false})", "do_resize false"},
        {R"({"do_rescale": false})", "do_rescale false"},
        {R"({"do_normalize": false})", "do_normalize false"},
        {R"({"do_pad": true})", "do_pad true"},
        {R"({"rescale_factor": 0.5})", "rescale_factor 0.5"},
        {R"({"resample": 2})", "resample 2"},
        {R"({"image_mean": [0.5, 0.5]})", "image_mean"},
        {R"({"image_std": [0.5, 0, 0.5]})", "image_std"}}) {
    const absl::Status status = ParseClipProcessorConfig("p.json", json::parse(text)).status();
    EXPECT_EQ(status.code(), absl::StatusCode::kInvalidArgument) << text;
    EXPECT_THAT(std::string(status.message()), ::testing::StartsWith(std::string("p.json: ") + key)) << text;
  }
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
