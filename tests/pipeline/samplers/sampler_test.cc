#include "pipeline/samplers/sampler.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <torch/types.h>

#include <cmath>
#include <string>
#include <vector>

#include "tests/pipeline/samplers/published_sampler_configs.h"
#include "tests/pipeline/samplers/step_alone.h"

namespace kandinsky {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;

// The step's linear map next = a * clean + c * sample + s * noise, read off by probing with unit inputs. Only
// for samplers that predict the clean sample.
struct StepWeights {
  float clean;
  float sample;
  float deviation;
};

StepWeights ProbeStep(Sampler& sampler, int index) {
  const torch::Tensor zero = torch::zeros({1});
  const torch::Tensor one = torch::ones({1});
  const auto run = [&](const torch::Tensor& clean, const torch::Tensor& sample, const torch::Tensor& noise) {
    return StepAlone(sampler, index, clean, sample, [&] { return noise; }).item<float>();
  };
  return {run(one, zero, zero), run(zero, one, zero), run(zero, zero, one)};
}

int IndexOf(const Sampler& sampler, float timestep) {
  for (int i = 0; i < sampler.step_count(); ++i) {
    if (sampler.timesteps()[static_cast<size_t>(i)] == timestep) return i;
  }
  ADD_FAILURE() << "no time-step " << timestep;
  return 0;
}

TEST(NoiseScheduleTest, LinearTableHasThePublishedValues) {
  const auto schedule = MakeNoiseSchedule(PublishedDecoderConfig());
  ASSERT_TRUE(schedule.ok());
  EXPECT_FLOAT_EQ(schedule->alphas_cumprod[0], 0.999149978f);
  EXPECT_FLOAT_EQ(schedule->alphas_cumprod[1], 0.998289526f);
  EXPECT_FLOAT_EQ(schedule->alphas_cumprod[500], 0.160771623f);
  EXPECT_FLOAT_EQ(schedule->alphas_cumprod[991], 0.0017385172f);
  EXPECT_FLOAT_EQ(schedule->alphas_cumprod[999], 0.00157896278f);
}

TEST(NoiseScheduleTest, CosineTableHasThePublishedValues) {
  const auto schedule = MakeNoiseSchedule(PublishedPriorConfig());
  ASSERT_TRUE(schedule.ok());
  EXPECT_FLOAT_EQ(schedule->betas[0], 4.12842248e-05f);
  EXPECT_FLOAT_EQ(schedule->betas[998], 0.749999393f);
  EXPECT_FLOAT_EQ(schedule->betas[999], 0.999f);
  EXPECT_FLOAT_EQ(schedule->alphas_cumprod[250], 0.845888019f);
  EXPECT_FLOAT_EQ(schedule->alphas_cumprod[998], 2.42876627e-06f);
}

TEST(NoiseScheduleTest, RefusesAnUnknownBetaScheduleByName) {
  SamplerConfig config;
  config.beta_schedule = "sigmoid";
  EXPECT_THAT(std::string(MakeNoiseSchedule(config).status().message()), HasSubstr("sigmoid"));
}

TEST(NoiseScheduleTest, RefusesBetasOutsideZeroToOne) {
  SamplerConfig config;
  config.beta_end = 1.5f;
  EXPECT_FALSE(MakeNoiseSchedule(config).ok());
  config.beta_end = std::nanf("");
  EXPECT_FALSE(MakeNoiseSchedule(config).ok());
}

TEST(SpacedTimestepsTest, LeadingSpacingMatchesThePublishedLists) {
  const SamplerConfig config = PublishedDecoderConfig();
  EXPECT_THAT(*SpacedTimesteps(config, 4), ElementsAre(751, 501, 251, 1));
  for (const auto& [steps, first, second] : {std::tuple{20, 951, 901},
                                             {25, 961, 921},
                                             {30, 958, 925},
                                             {50, 981, 961},
                                             {75, 963, 950},
                                             {100, 991, 981},
                                             {150, 895, 889}}) {
    const auto timesteps = SpacedTimesteps(config, steps);
    ASSERT_TRUE(timesteps.ok());
    EXPECT_EQ((*timesteps)[0], first);
    EXPECT_EQ((*timesteps)[1], second);
    EXPECT_EQ(timesteps->back(), 1);
    EXPECT_EQ(timesteps->size(), static_cast<size_t>(steps));
  }
}

TEST(SpacedTimestepsTest, RefusesStepCountsThatLeaveTheTrainingRange) {
  const SamplerConfig config = PublishedDecoderConfig();
  EXPECT_FALSE(SpacedTimesteps(config, 0).ok());
  EXPECT_FALSE(SpacedTimesteps(config, 1001).ok());
  // Offset 1 and a stride of 1 reach time-step 1000; diffusers fails with an index error there.
  EXPECT_FALSE(SpacedTimesteps(config, 1000).ok());
  EXPECT_TRUE(SpacedTimesteps(config, 999).ok());
  EXPECT_EQ(LargestStepCount(config), 999);
}

TEST(SpacedTimestepsTest, RefusesAnOffsetOutsideTheTrainingRange) {
  SamplerConfig config = PublishedDecoderConfig();
  for (const int offset : {-1, 1000, 2147483647}) {
    config.steps_offset = offset;
    EXPECT_THAT(std::string(SpacedTimesteps(config, 10).status().message()), HasSubstr("steps_offset"));
  }
}

TEST(UnclipSamplerTest, TimestepsMatchThePublishedLists) {
  const auto sampler = MakeUnclipSampler(PublishedPriorConfig(), 25);
  ASSERT_TRUE(sampler.ok());
  EXPECT_THAT((*sampler)->timesteps(),
              ElementsAre(999, 957, 916, 874, 832, 791, 749, 708, 666, 624, 583, 541, 500, 458, 416, 375, 333,
                          291, 250, 208, 166, 125, 83, 42, 0));
  EXPECT_THAT((*MakeUnclipSampler(PublishedPriorConfig(), 5))->timesteps(),
              ElementsAre(999, 749, 500, 250, 0));
}

TEST(UnclipSamplerTest, StepWeightsMatchThePublishedTable) {
  const auto sampler = MakeUnclipSampler(PublishedPriorConfig(), 25);
  ASSERT_TRUE(sampler.ok());
  const StepWeights first = ProbeStep(**sampler, 0);
  EXPECT_NEAR(first.clean, 0.06540817f, 1e-7);
  EXPECT_NEAR(first.sample, 0.00076873746f, 1e-8);
  EXPECT_NEAR(first.deviation, 0.99785829f, 1e-6);
  const StepWeights middle = ProbeStep(**sampler, IndexOf(**sampler, 500));
  EXPECT_NEAR(middle.clean, 0.17232049f, 1e-6);
  EXPECT_NEAR(middle.sample, 0.81868893f, 1e-6);
  EXPECT_NEAR(middle.deviation, 0.31950948f, 1e-6);
}

TEST(UnclipSamplerTest, LastStepDrawsNoNoise) {
  const auto sampler = MakeUnclipSampler(PublishedPriorConfig(), 5);
  ASSERT_TRUE(sampler.ok());
  int draws = 0;
  const torch::Tensor one = torch::ones({3});
  for (int index = 0; index < 5; ++index) {
    StepAlone(**sampler, index, one, one, [&] {
      ++draws;
      return torch::zeros({3});
    });
  }
  EXPECT_EQ(draws, 4);
}

TEST(UnclipSamplerTest, ClipsThePredictionToItsRange) {
  const auto sampler = MakeUnclipSampler(PublishedPriorConfig(), 5);
  ASSERT_TRUE(sampler.ok());
  const torch::Tensor zero = torch::zeros({1});
  const auto step = [&](float prediction) {
    return StepAlone(**sampler, 2, torch::full({1}, prediction), zero, [&] { return zero; }).item<float>();
  };
  EXPECT_FLOAT_EQ(step(10.0f), step(1000.0f));
  EXPECT_NE(step(9.0f), step(10.0f));
}

TEST(UnclipSamplerTest, RefusesFewerThanTwoSteps) {
  EXPECT_THAT(std::string(MakeUnclipSampler(PublishedPriorConfig(), 1).status().message()),
              HasSubstr("prior_steps must be within 2..1000"));
}

TEST(DdpmSamplerTest, StepWeightsMatchThePublishedTable) {
  SamplerConfig config = PublishedDecoderConfig();
  config.prediction_type = "sample";  // makes the weights of clean and noisy sample visible one by one
  const auto sampler = MakeDdpmSampler(config, 50);
  ASSERT_TRUE(sampler.ok());
  const StepWeights first = ProbeStep(**sampler, 0);
  EXPECT_NEAR(first.clean, 0.010455882f, 1e-7);
  EXPECT_NEAR(first.sample, 0.88857132f, 1e-6);
  EXPECT_NEAR(first.deviation, std::sqrt(0.20950928f), 1e-6);
  const StepWeights middle = ProbeStep(**sampler, IndexOf(**sampler, 501));
  EXPECT_NEAR(middle.clean, 0.060503762f, 1e-6);
  EXPECT_NEAR(middle.sample, 0.91423756f, 1e-6);
  EXPECT_NEAR(middle.deviation, std::sqrt(0.11629361f), 1e-6);
  const StepWeights last = ProbeStep(**sampler, 49);
  EXPECT_FLOAT_EQ(last.clean, 1.0f);
  EXPECT_FLOAT_EQ(last.sample, 0.0f);
  EXPECT_NEAR(last.deviation, 1e-10f, 1e-14);
}

TEST(DdpmSamplerTest, DrawsNoiseAtEveryStepIncludingTheLast) {
  const auto sampler = MakeDdpmSampler(PublishedDecoderConfig(), 10);
  ASSERT_TRUE(sampler.ok());
  int draws = 0;
  for (int index = 0; index < 10; ++index) {
    StepAlone(**sampler, index, torch::ones({2}), torch::ones({2}), [&] {
      ++draws;
      return torch::zeros({2});
    });
  }
  EXPECT_EQ(draws, 10);
}

TEST(DdpmSamplerTest, ClipSampleComesFromTheConfiguration) {
  SamplerConfig config = PublishedDecoderConfig();
  const auto unclipped = MakeDdpmSampler(config, 10);
  config.clip_sample = true;
  const auto clipped = MakeDdpmSampler(config, 10);
  const torch::Tensor sample = torch::full({1}, 3.0f);
  const torch::Tensor zero = torch::zeros({1});
  const auto last = [&](Sampler& sampler) {
    return StepAlone(sampler, 9, zero, sample, [&] { return zero; }).item<float>();
  };
  EXPECT_FLOAT_EQ(last(**clipped), 1.0f);
  EXPECT_GT(last(**unclipped), 2.9f);
}

TEST(DdpmSamplerTest, RefusesVariancesAndPredictionsItDoesNotImplement) {
  SamplerConfig config = PublishedDecoderConfig();
  config.variance_type = "learned_range";
  EXPECT_THAT(std::string(MakeDdpmSampler(config, 10).status().message()), HasSubstr("learned_range"));
  config = PublishedDecoderConfig();
  config.prediction_type = "v_prediction";
  EXPECT_THAT(std::string(MakeDdpmSampler(config, 10).status().message()), HasSubstr("v_prediction"));
  config = PublishedDecoderConfig();
  config.thresholding = true;
  EXPECT_THAT(std::string(MakeDdpmSampler(config, 10).status().message()), HasSubstr("thresholding"));
}

TEST(DdimSamplerTest, DrawsNoiseOnlyWithEta) {
  const torch::Tensor one = torch::ones({2});
  for (const auto& [eta, expected] : {std::pair{0.0f, 0}, {0.5f, 10}}) {
    const auto sampler = MakeDdimSampler(PublishedDecoderConfig(), 10, eta);
    ASSERT_TRUE(sampler.ok());
    int draws = 0;
    for (int index = 0; index < 10; ++index) {
      StepAlone(**sampler, index, one, one, [&] {
        ++draws;
        return torch::zeros({2});
      });
    }
    EXPECT_EQ(draws, expected);
  }
}

TEST(DdimSamplerTest, RefusesEtaOutsideZeroToOne) {
  EXPECT_FALSE(MakeDdimSampler(PublishedDecoderConfig(), 10, -0.1f).ok());
  EXPECT_FALSE(MakeDdimSampler(PublishedDecoderConfig(), 10, 1.1f).ok());
  EXPECT_FALSE(MakeDdimSampler(PublishedDecoderConfig(), 10, std::nanf("")).ok());
}

}  // namespace
}  // namespace kandinsky
