#include "pipeline/samplers/decoder_sampler.h"

#include <ATen/Parallel.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <torch/types.h>

#include <memory>
#include <string>
#include <vector>

#include "tests/pipeline/samplers/published_sampler_configs.h"
#include "tests/pipeline/samplers/step_alone.h"

namespace kandinsky {
namespace {

using ::testing::ElementsAre;
using ::testing::FloatEq;
using ::testing::HasSubstr;
using ::testing::Pointwise;

constexpr int64_t kFixedVariance = 4;  // output channels of the U-Net
constexpr int64_t kPredictedVariance = 8;

const std::vector<SamplerKind>& AllKinds() {
  static const std::vector<SamplerKind> kinds = {
      SamplerKind::kDdpm,  SamplerKind::kDdim,           SamplerKind::kDdpmLearnedRange,
      SamplerKind::kEuler, SamplerKind::kEulerAncestral, SamplerKind::kDpmSolverMultistep};
  return kinds;
}

// Clipped, unlike the published one.
SamplerConfig ClippedConfig() {
  SamplerConfig config = PublishedDecoderConfig();
  config.clip_sample = true;
  return config;
}

std::unique_ptr<Sampler> MakeOrFail(SamplerKind kind, const SamplerConfig& config, int steps) {
  auto sampler = MakeDecoderSampler(kind, config, {.steps = steps});
  EXPECT_TRUE(sampler.ok()) << sampler.status();
  return sampler.ok() ? *std::move(sampler) : nullptr;
}

std::string Refusal(SamplerKind kind, const SamplerConfig& config, int steps = 10) {
  const auto sampler = MakeDecoderSampler(kind, config, {.steps = steps});
  EXPECT_EQ(sampler.status().code(), absl::StatusCode::kInvalidArgument);
  return std::string(sampler.status().message());
}

// A step whose noise is zero; `output` fills all channels of the network's output.
torch::Tensor StepOnce(Sampler& sampler, int index, float output, const torch::Tensor& sample) {
  const int64_t channels = sampler.uses_predicted_variance() ? 2 * sample.size(1) : sample.size(1);
  const torch::Tensor outputs = torch::full({sample.size(0), channels}, output);
  return StepAlone(sampler, index, outputs, sample, [&] { return torch::zeros_like(sample); });
}

TEST(DecoderSamplerTest, OffersEveryKindForThePublishedFiles) {
  EXPECT_EQ(OfferedSamplers(ClippedConfig(), kPredictedVariance), AllKinds());
}

TEST(DecoderSamplerTest, OffersThePredictedVarianceOnlyToNetworksThatPredictIt) {
  const std::vector<SamplerKind> offered = OfferedSamplers(ClippedConfig(), kFixedVariance);
  EXPECT_EQ(offered.size(), AllKinds().size() - 1);
  EXPECT_THAT(offered, ::testing::Not(::testing::Contains(SamplerKind::kDdpmLearnedRange)));
}

TEST(DecoderSamplerTest, AFileWithThePredictedVariancePermitsNoOther) {
  SamplerConfig config = ClippedConfig();
  config.variance_type = "learned_range";
  EXPECT_THAT(OfferedSamplers(config, kPredictedVariance), ElementsAre(SamplerKind::kDdpmLearnedRange));
  for (const SamplerKind kind : {SamplerKind::kDdim, SamplerKind::kEuler, SamplerKind::kDpmSolverMultistep}) {
    EXPECT_THAT(Refusal(kind, config), HasSubstr("variance_type \"learned_range\""));
  }
  config.variance_type = "learned";
  EXPECT_TRUE(OfferedSamplers(config, kPredictedVariance).empty());
}

TEST(DecoderSamplerTest, KeysOfOneClassDoNotKeepOthersFromBeingOffered) {
  SamplerConfig config = ClippedConfig();
  config.use_karras_sigmas = true;
  EXPECT_THAT(OfferedSamplers(config, kFixedVariance),
              ElementsAre(SamplerKind::kDdpm, SamplerKind::kDdim, SamplerKind::kEulerAncestral));
  config = ClippedConfig();
  config.thresholding = true;
  EXPECT_THAT(OfferedSamplers(config, kPredictedVariance),
              ElementsAre(SamplerKind::kEuler, SamplerKind::kEulerAncestral));
  config = ClippedConfig();
  config.prediction_type = "sample";
  EXPECT_THAT(OfferedSamplers(config, kPredictedVariance),
              ElementsAre(SamplerKind::kDdpm, SamplerKind::kDdim, SamplerKind::kDdpmLearnedRange,
                          SamplerKind::kEuler, SamplerKind::kDpmSolverMultistep));
}

TEST(DecoderSamplerTest, RefusesTheDefaultWhichIsNoKind) {
  EXPECT_FALSE(MakeDecoderSampler(SamplerKind::kModelDefault, ClippedConfig(), {}).ok());
}

TEST(DecoderSamplerTest, RefusesStepCountsNamingTheBound) {
  for (const SamplerKind kind : AllKinds()) {
    for (const int steps : {-1, 0, 1001}) {
      EXPECT_THAT(Refusal(kind, ClippedConfig(), steps), HasSubstr("steps must be within 1.."));
    }
    EXPECT_NE(MakeOrFail(kind, ClippedConfig(), 999), nullptr);
  }
  EXPECT_THAT(Refusal(SamplerKind::kDpmSolverMultistep, ClippedConfig(), 1000),
              HasSubstr("steps must be within 1..999, got 1000"));
}

TEST(DecoderSamplerTest, RefusesSpacingsThatLeaveTheTrainingRange) {
  SamplerConfig config = ClippedConfig();
  config.timestep_spacing = "leading";
  for (const SamplerKind kind : {SamplerKind::kEuler, SamplerKind::kDdpm}) {
    EXPECT_THAT(Refusal(kind, config, 1000), HasSubstr("beyond the last one of 999"));
  }
  EXPECT_THAT(Refusal(SamplerKind::kDpmSolverMultistep, config, 999),
              HasSubstr("beyond the last one of 999"));
  config.timestep_spacing = "cosine";
  for (const SamplerKind kind : AllKinds()) EXPECT_THAT(Refusal(kind, config), HasSubstr("cosine"));
}

TEST(DecoderSamplerTest, NamesTheSolverKeyThatItDoesNotSupport) {
  const auto refusal = [](auto change) {
    SamplerConfig config = ClippedConfig();
    change(config);
    return Refusal(SamplerKind::kDpmSolverMultistep, config);
  };
  EXPECT_THAT(refusal([](SamplerConfig& config) { config.solver_order = 3; }), HasSubstr("solver_order 3"));
  EXPECT_THAT(refusal([](SamplerConfig& config) { config.solver_type = "heun"; }), HasSubstr("heun"));
  EXPECT_THAT(refusal([](SamplerConfig& config) { config.algorithm_type = "sde-dpmsolver++"; }),
              HasSubstr("algorithm_type \"sde-dpmsolver++\""));
  EXPECT_THAT(refusal([](SamplerConfig& config) { config.final_sigmas_type = "sigma_min"; }),
              HasSubstr("final_sigmas_type"));
  EXPECT_THAT(refusal([](SamplerConfig& config) { config.use_lu_lambdas = true; }),
              HasSubstr("use_lu_lambdas"));
  EXPECT_THAT(refusal([](SamplerConfig& config) { config.use_flow_sigmas = true; }),
              HasSubstr("use_flow_sigmas"));
  EXPECT_THAT(refusal([](SamplerConfig& config) { config.lambda_min_clipped = -5.1f; }),
              HasSubstr("lambda_min_clipped"));
  SamplerConfig config = ClippedConfig();
  config.interpolation_type = "log_linear";
  EXPECT_THAT(Refusal(SamplerKind::kEuler, config), HasSubstr("log_linear"));
}

TEST(DecoderSamplerTest, SolversAreSpacedEvenlyUnlessTheFileSaysOtherwise) {
  SamplerConfig config = ClippedConfig();
  EXPECT_THAT(MakeOrFail(SamplerKind::kDdim, config, 4)->timesteps(), ElementsAre(751, 501, 251, 1));
  EXPECT_THAT(MakeOrFail(SamplerKind::kDpmSolverMultistep, config, 12)->timesteps(),
              ElementsAre(999, 916, 832, 749, 666, 583, 500, 416, 333, 250, 166, 83));
  config.timestep_spacing = "leading";
  EXPECT_THAT(MakeOrFail(SamplerKind::kEuler, config, 12)->timesteps(),
              ElementsAre(914, 831, 748, 665, 582, 499, 416, 333, 250, 167, 84, 1));
}

TEST(DecoderSamplerTest, EulerVisitsFractionalTimesteps) {
  const std::vector<float> expected = {999.0f,      908.181824f, 817.363647f, 726.545471f,
                                       635.727295f, 544.909119f, 454.090912f, 363.272736f,
                                       272.454559f, 181.636368f, 90.8181839f, 0.0f};
  for (const SamplerKind kind : {SamplerKind::kEuler, SamplerKind::kEulerAncestral}) {
    EXPECT_EQ(MakeOrFail(kind, ClippedConfig(), 12)->timesteps(), expected);
    EXPECT_THAT(MakeOrFail(kind, ClippedConfig(), 1)->timesteps(), ElementsAre(0.0f));
  }
}

TEST(DecoderSamplerTest, EulerStartsFromStrongNoise) {
  SamplerConfig config = ClippedConfig();
  EXPECT_FLOAT_EQ(MakeOrFail(SamplerKind::kEuler, config, 12)->init_noise_sigma(), 25.1461163f);
  config.timestep_spacing = "leading";
  EXPECT_FLOAT_EQ(MakeOrFail(SamplerKind::kEuler, config, 12)->init_noise_sigma(), 15.3722982f);
  for (const SamplerKind kind : {SamplerKind::kDdpm, SamplerKind::kDpmSolverMultistep}) {
    EXPECT_EQ(MakeOrFail(kind, ClippedConfig(), 12)->init_noise_sigma(), 1.0f);
  }
}

TEST(DecoderSamplerTest, NoiseLevelsBetweenTimestepsAreInterpolated) {
  const auto schedule = MakeNoiseSchedule(ClippedConfig());
  ASSERT_TRUE(schedule.ok());
  EXPECT_THAT(NoiseLevels(*schedule, {999.0f, 908.181824f, 0.0f}),
              Pointwise(FloatEq(), {25.1461163f, 14.8508739f, 0.0291675348f, 0.0f}));
}

TEST(DecoderSamplerTest, TrailingSpacingRoundsHalvesAsNumpyDoes) {
  SamplerConfig config = ClippedConfig();
  config.timestep_spacing = "trailing";
  const std::vector<float> timesteps = MakeOrFail(SamplerKind::kDdpm, config, 48)->timesteps();
  EXPECT_EQ(timesteps[0], 999);
  EXPECT_EQ(timesteps[3], 936);  // 1000 - 3 * 1000 / 48 is 937.5
  EXPECT_EQ(timesteps[15], 686);
}

TEST(DecoderSamplerTest, AStepLeavesNoTraceBeforeItIsCommitted) {
  const torch::Tensor sample = torch::linspace(-1, 1, 8).view({1, 8});
  for (const SamplerKind kind : AllKinds()) {
    const std::unique_ptr<Sampler> once = MakeOrFail(kind, ClippedConfig(), 6);
    const std::unique_ptr<Sampler> repeated = MakeOrFail(kind, ClippedConfig(), 6);
    torch::Tensor expected = sample;
    torch::Tensor actual = sample;
    for (int index = 0; index < 6; ++index) {
      expected = StepOnce(*once, index, 0.1f, expected);
      once->Commit();
      StepOnce(*repeated, index, 0.9f, actual);
      StepOnce(*repeated, index, -0.9f, actual);
      actual = StepOnce(*repeated, index, 0.1f, actual);
      repeated->Commit();
      repeated->Commit();
      EXPECT_TRUE(torch::equal(actual, expected)) << "step " << index;
    }
    EXPECT_TRUE(torch::equal(sample, torch::linspace(-1, 1, 8).view({1, 8})));
  }
}

TEST(DecoderSamplerTest, DpmSolverLooksBackAtTheCommittedStepOnly) {
  const torch::Tensor sample = torch::ones({1, 4});
  const auto second_step = [&](float first_output, bool commit) {
    const std::unique_ptr<Sampler> sampler = MakeOrFail(SamplerKind::kDpmSolverMultistep, ClippedConfig(), 5);
    StepOnce(*sampler, 1, first_output, sample);
    if (commit) sampler->Commit();
    return StepOnce(*sampler, 2, 0.3f, sample);
  };
  EXPECT_FALSE(torch::equal(second_step(0.1f, true), second_step(0.2f, true)));
  EXPECT_TRUE(torch::equal(second_step(0.1f, false), second_step(0.2f, false)));
}

TEST(DecoderSamplerTest, DpmSolverForgetsAStepThatIsNotTheOneBefore) {
  const torch::Tensor sample = torch::ones({1, 4});
  const std::unique_ptr<Sampler> fresh = MakeOrFail(SamplerKind::kDpmSolverMultistep, ClippedConfig(), 8);
  const std::unique_ptr<Sampler> used = MakeOrFail(SamplerKind::kDpmSolverMultistep, ClippedConfig(), 8);
  StepOnce(*used, 0, 0.7f, sample);
  used->Commit();
  EXPECT_TRUE(torch::equal(StepOnce(*used, 4, 0.3f, sample), StepOnce(*fresh, 4, 0.3f, sample)));
}

TEST(DecoderSamplerTest, OnlyAncestralSamplersDrawNoise) {
  const torch::Tensor sample = torch::ones({1, 4});
  for (const SamplerKind kind : AllKinds()) {
    const std::unique_ptr<Sampler> sampler = MakeOrFail(kind, ClippedConfig(), 3);
    int draws = 0;
    for (int index = 0; index < 3; ++index) {
      const torch::Tensor output = torch::zeros({1, sampler->uses_predicted_variance() ? 8 : 4});
      StepAlone(*sampler, index, output, sample, [&] {
        ++draws;
        return torch::zeros_like(sample);
      });
      sampler->Commit();
    }
    const bool ancestral = kind == SamplerKind::kDdpm || kind == SamplerKind::kDdpmLearnedRange ||
                           kind == SamplerKind::kEulerAncestral;
    EXPECT_EQ(draws, ancestral ? 3 : 0);
  }
}

TEST(DecoderSamplerTest, PredictedVarianceScalesTheNoiseBetweenItsBounds) {
  const std::unique_ptr<Sampler> sampler = MakeOrFail(SamplerKind::kDdpmLearnedRange, ClippedConfig(), 50);
  const auto deviation = [&](float share) {
    const torch::Tensor output = torch::cat({torch::zeros({1, 1}), torch::full({1, 1}, share)}, 1);
    return StepAlone(*sampler, 0, output, torch::zeros({1, 1}),
                     [] {
                       return torch::ones({1, 1});
                     })
        .item<float>();
  };
  const std::unique_ptr<Sampler> fixed = MakeOrFail(SamplerKind::kDdpm, ClippedConfig(), 50);
  const torch::Tensor zero = torch::zeros({1, 1});
  const float smallest = StepAlone(*fixed, 0, zero, zero, [] { return torch::ones({1, 1}); }).item<float>();
  EXPECT_NEAR(deviation(-1.0f), smallest, 1e-6f);
  EXPECT_GT(deviation(0.0f), smallest);
  EXPECT_GT(deviation(1.0f), deviation(0.0f));
}

TEST(DecoderSamplerTest, NoiseIsAddedToEveryRowAlike) {
  const torch::Tensor clean = torch::ones({2, 4});
  const torch::Tensor noise = torch::ones({2, 4});
  for (const SamplerKind kind : AllKinds()) {
    const std::unique_ptr<Sampler> sampler = MakeOrFail(kind, ClippedConfig(), 10);
    const torch::Tensor first = sampler->AddNoise(clean, noise, 0);
    EXPECT_TRUE(torch::equal(first[0], first[1]));
    const float share = sampler->AddNoise(clean, torch::zeros({2, 4}), 0)[0][0].item<float>();
    const bool keeps_the_image = kind == SamplerKind::kEuler || kind == SamplerKind::kEulerAncestral;
    EXPECT_EQ(share == 1.0f, keeps_the_image);
  }
}

// From 768x768 the latents are so large that the library divides them among threads. Of some functions it
// takes what is left over of a thread's share one by one, and rounds otherwise than in its vectors.
TEST(DecoderSamplerTest, TheNumberOfThreadsChangesNoBit) {
  const int threads_before = at::get_num_threads();
  for (const auto& [height, width] : {std::pair<int64_t, int64_t>{96, 96}, {97, 95}, {129, 131}}) {
    torch::manual_seed(1);
    const torch::Tensor sample = torch::randn({1, 4, height, width});
    const torch::Tensor noise = torch::randn({1, 4, height, width});
    const torch::Tensor outputs =
        torch::randn({1, 8, height, width}).contiguous(at::MemoryFormat::ChannelsLast);  // as the U-Net's
    for (const SamplerKind kind : AllKinds()) {
      const auto sampler = MakeOrFail(kind, ClippedConfig(), 10);
      const torch::Tensor output = sampler->uses_predicted_variance() ? outputs : outputs.narrow(1, 0, 4);
      at::set_num_threads(1);
      const torch::Tensor expected = StepAlone(*sampler, 3, output, sample, [&] { return noise; });
      for (const int threads : {2, 3}) {
        at::set_num_threads(threads);
        const torch::Tensor actual = StepAlone(*sampler, 3, output, sample, [&] { return noise; });
        EXPECT_TRUE(torch::equal(actual, expected))
            << "sampler " << static_cast<int>(kind) << ", " << height << "x" << width << ", " << threads
            << " threads, " << (actual != expected).sum().item<int64_t>() << " elements";
      }
    }
  }
  at::set_num_threads(threads_before);
}

}  // namespace
}  // namespace kandinsky
