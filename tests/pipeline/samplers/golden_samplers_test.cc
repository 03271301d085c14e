// Every sampler's trajectory equals the one diffusers recorded for the same network outputs and noises.
#include <gtest/gtest.h>
#include <torch/types.h>

#include <cstdlib>
#include <fstream>
#include <map>
#include <memory>
#include <nlohmann/json.hpp>
#include <set>
#include <string>

#include "pipeline/samplers/decoder_sampler.h"
#include "pipeline/weights/safetensors.h"
#include "tests/pipeline/samplers/step_alone.h"

namespace kandinsky {
namespace {

using nlohmann::json;

// Relative L2 of one step in float32, whose logarithms and exponentials are another library's.
constexpr double kLimit = 1e-6;

std::string GoldenDirectory() {
  const char* overridden = std::getenv("KANDINSKY_GOLDEN_DIR");
  return overridden != nullptr ? overridden : KANDINSKY_SOURCE_DIR "/tests/golden/diffusers";
}

SamplerConfig ReadConfig(const json& object, const std::string& kind) {
  SamplerConfig config;
  if (kind == "unclip") {
    config.beta_schedule = "squaredcos_cap_v2";
    config.variance_type = "fixed_small_log";
  }
  config.beta_start = object.value("beta_start", config.beta_start);
  config.beta_end = object.value("beta_end", config.beta_end);
  config.prediction_type = object.value("prediction_type", config.prediction_type);
  config.steps_offset = object.value("steps_offset", config.steps_offset);
  config.clip_sample = object.value("clip_sample", config.clip_sample);
  config.clip_sample_range = object.value("clip_sample_range", config.clip_sample_range);
  config.set_alpha_to_one = object.value("set_alpha_to_one", config.set_alpha_to_one);
  if (object.contains("timestep_spacing")) config.timestep_spacing = object.at("timestep_spacing");
  return config;
}

absl::StatusOr<std::unique_ptr<Sampler>> MakeSampler(const json& test_case) {
  static const std::map<std::string, SamplerKind> kinds = {
      {"ddpm", SamplerKind::kDdpm},
      {"ddim", SamplerKind::kDdim},
      {"ddpm_learned_range", SamplerKind::kDdpmLearnedRange},
      {"euler", SamplerKind::kEuler},
      {"euler_ancestral", SamplerKind::kEulerAncestral},
      {"dpm_solver_multistep", SamplerKind::kDpmSolverMultistep}};
  const std::string kind = test_case.at("kind");
  const SamplerConfig config = ReadConfig(test_case.at("config"), kind);
  const int steps = test_case.at("steps");
  if (kind == "unclip") return MakeUnclipSampler(config, steps);
  return MakeDecoderSampler(kinds.at(kind), config, {.steps = steps, .eta = test_case.at("eta")});
}

class Case {
 public:
  Case(const Checkpoint& tensors, const json& test_case)
      : tensors_(tensors), name_(test_case.at("name")), first_(test_case.at("first")) {}

  void ExpectSameTimestepsAndNoise(const Sampler& sampler) const {
    const torch::Tensor timesteps = Get("timesteps");
    ASSERT_EQ(sampler.step_count(), timesteps.size(0));
    EXPECT_FLOAT_EQ(sampler.init_noise_sigma(), Get("init_noise_sigma").item<float>());
    for (int step = 0; step < sampler.step_count(); ++step) {
      EXPECT_EQ(sampler.timesteps()[static_cast<size_t>(step)], timesteps[step].item<float>());
      const torch::Tensor noised = sampler.AddNoise(Get("clean"), Get("noise")[0], step);
      EXPECT_LE(Error(noised, Get("noised")[step]), kLimit) << "step " << step;
    }
  }

  void ExpectSameTrajectory(Sampler& sampler) const {
    torch::Tensor sample = Get("start");
    for (int step = first_; step < sampler.step_count(); ++step) {
      const torch::Tensor output = Get("model_output")[step - first_];
      ASSERT_EQ(output.size(1), sample.size(1) * (sampler.uses_predicted_variance() ? 2 : 1));
      int draws = 0;
      const auto draw = [&] {
        ++draws;
        return Get("noise")[step];
      };
      // A step that does not count, as when its batch fails: it leaves no trace.
      StepAlone(sampler, step, output + 1, sample - 1, draw);
      draws = 0;
      sample = StepAlone(sampler, step, output, sample, draw);
      sampler.Commit();
      EXPECT_EQ(draws, Get("drawn")[step - first_].item<int>());
      const torch::Tensor expected = Get("trajectory")[step - first_];
      ASSERT_LE(Error(sample, expected), kLimit) << "step " << step;
      // The recorded network outputs do not react to the sample, so rounding would pile up over the steps.
      sample = expected;
    }
  }

 private:
  static double Error(const torch::Tensor& actual, const torch::Tensor& expected) {
    return ((actual - expected).norm() / expected.norm()).item<double>();
  }

  torch::Tensor Get(const std::string& part) const { return *tensors_.Get(name_ + "." + part); }

  const Checkpoint& tensors_;
  const std::string name_;
  const int first_;
};

TEST(GoldenSamplersTest, TrajectoriesEqualDiffusers) {
  std::ifstream file(GoldenDirectory() + "/samplers.json");
  ASSERT_TRUE(file.good());
  const json cases = json::parse(file).at("cases");
  const auto tensors = OpenCheckpoint(GoldenDirectory() + "/samplers.safetensors");
  ASSERT_TRUE(tensors.ok()) << tensors.status();
  std::set<std::string> whole;
  std::set<std::string> shortened;
  for (const json& test_case : cases) {
    SCOPED_TRACE(test_case.at("name"));
    const auto sampler = MakeSampler(test_case);
    ASSERT_TRUE(sampler.ok()) << sampler.status();
    const Case recorded(**tensors, test_case);
    recorded.ExpectSameTimestepsAndNoise(**sampler);
    recorded.ExpectSameTrajectory(**sampler);
    (test_case.at("first") == 0 ? whole : shortened).insert(test_case.at("kind"));
  }
  EXPECT_EQ(whole.size(), 7u);
  EXPECT_EQ(shortened, whole);
}

}  // namespace
}  // namespace kandinsky
