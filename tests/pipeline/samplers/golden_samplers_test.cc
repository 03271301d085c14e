// Every sampler's trajectory equals the one diffusers recorded for the same network outputs and noises.
#include <gtest/gtest.h>
#include <torch/types.h>

#include <cstdlib>
#include <fstream>
#include <memory>
#include <nlohmann/json.hpp>
#include <string>

#include "pipeline/samplers/sampler.h"
#include "pipeline/weights/safetensors.h"

namespace kandinsky {
namespace {

using nlohmann::json;

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
  return config;
}

absl::StatusOr<std::unique_ptr<Sampler>> MakeSampler(const json& test_case) {
  const std::string kind = test_case.at("kind");
  const SamplerConfig config = ReadConfig(test_case.at("config"), kind);
  const int steps = test_case.at("steps");
  if (kind == "unclip") return MakeUnclipSampler(config, steps);
  if (kind == "ddpm") return MakeDdpmSampler(config, steps);
  return MakeDdimSampler(config, steps, test_case.at("eta"));
}

void ExpectSameTrajectory(Sampler& sampler, const Checkpoint& tensors, const std::string& name) {
  const auto tensor = [&](const std::string& part) { return *tensors.Get(name + "." + part); };
  const torch::Tensor timesteps = tensor("timesteps").to(torch::kFloat32);
  ASSERT_EQ(sampler.step_count(), timesteps.size(0));
  torch::Tensor sample = tensor("start");
  for (int step = 0; step < sampler.step_count(); ++step) {
    EXPECT_EQ(sampler.timesteps()[static_cast<size_t>(step)], timesteps[step].item<float>());
    sample = sampler.Step(step, tensor("model_output")[step], sample, [&] { return tensor("noise")[step]; });
    const torch::Tensor expected = tensor("trajectory")[step];
    const double error = ((sample - expected).norm() / expected.norm()).item<double>();
    ASSERT_LE(error, 1e-6) << "step " << step;
    // The recorded network outputs do not react to the sample, so rounding would pile up over the steps.
    sample = expected;
  }
}

TEST(GoldenSamplersTest, TrajectoriesEqualDiffusers) {
  std::ifstream file(GoldenDirectory() + "/samplers.json");
  ASSERT_TRUE(file.good());
  const json cases = json::parse(file).at("cases");
  const auto tensors = OpenCheckpoint(GoldenDirectory() + "/samplers.safetensors");
  ASSERT_TRUE(tensors.ok()) << tensors.status();
  ASSERT_GE(cases.size(), 10u);
  for (const json& test_case : cases) {
    const std::string name = test_case.at("name");
    SCOPED_TRACE(name);
    const auto sampler = MakeSampler(test_case);
    ASSERT_TRUE(sampler.ok()) << sampler.status();
    ExpectSameTrajectory(**sampler, **tensors, name);
  }
}

}  // namespace
}  // namespace kandinsky
