#include <gtest/gtest.h>

#include <cmath>
#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <map>
#include <memory>
#include <nlohmann/json.hpp>
#include <stdexcept>
#include <string>
#include <utility>

#include "base/json_file.h"
#include "pipeline/components/model_configs.h"
#include "pipeline/models/layers.h"
#include "pipeline/weights/safetensors.h"
#include "pipeline/weights/strict_load.h"
#include "tests/pipeline/models/model_test_support.h"

// How far the networks, as the server runs them, are from double precision, against diffusers in single
// precision. The files come from tests/parity/make_precision_cases.py, those of the full-size networks from
// tests/parity/full_size_precision.py, and are made anew for each comparison.

namespace kandinsky {
namespace {

using testing::ChannelsLast;
using testing::RelativeL2;

// Of the geometric means over all cases; at full size of each case.
constexpr double kMaxRatio = 1.2;
// Of each case, relative L2.
constexpr double kMaxDistance = 1e-5;

template <typename T>
T ValueOrFail(absl::StatusOr<T> value) {
  if (!value.ok()) throw std::runtime_error(value.status().ToString());
  return *std::move(value);
}

class PrecisionTest : public ::testing::Test {
 protected:
  // `variable` of the environment names the folder of the files.
  explicit PrecisionTest(const char* variable) : variable_(variable) {}

  void SetUp() override {
    const char* folder = std::getenv(variable_);
    if (folder == nullptr || !std::filesystem::exists(std::string(folder) + "/precision.json")) {
      GTEST_SKIP() << "only in the live comparison";
    }
    folder_ = std::string(folder) + "/";
    tensors_ = ValueOrFail(OpenCheckpoint(folder_ + "precision.safetensors"));
  }

  template <typename Module, typename Config>
  std::unique_ptr<Module> Load(const nlohmann::json& network,
                               absl::StatusOr<Config> (*parse)(const std::string&, const nlohmann::json&)) {
    const std::string path = folder_ + network.at("folder").get<std::string>();
    const auto config = parse(path, ValueOrFail(ReadJsonFile(path + "/config.json")));
    auto module = std::make_unique<Module>(ValueOrFail(config));
    const auto checkpoint = ValueOrFail(OpenCheckpoint(path + "/weights.safetensors"));
    const absl::Status loaded = LoadStrict(*module, *checkpoint);
    if (!loaded.ok()) throw std::runtime_error(loaded.ToString());
    PrepareForInference(*module);
    return module;
  }

  torch::Tensor RunPrior(const nlohmann::json& network) {
    const auto prior = Load<PriorTransformer>(network, &ParsePriorConfig);
    const c10::InferenceMode inference;
    const PriorPrefix prefix =
        prior->encode_prefix(Input(network, "proj_embedding"), Input(network, "encoder_hidden_states"),
                             Input(network, "attention_mask").to(torch::kBool));
    return prior->forward_suffix(Input(network, "hidden_states"), Input(network, "timestep"), prefix);
  }

  torch::Tensor Run(const nlohmann::json& network) {
    const std::string kind = network.at("kind");
    if (kind == "prior") return RunPrior(network);
    if (kind == "unet") {
      const auto unet = Load<UNet2DConditionModel>(network, &ParseUNetConfig);
      const c10::InferenceMode inference;
      return unet->forward(ChannelsLast(Input(network, "sample")), Input(network, "timestep"),
                           Input(network, "image_embeds"));
    }
    const auto movq = Load<VQModel>(network, &ParseVQModelConfig);
    const c10::InferenceMode inference;
    return kind == "encode" ? movq->encode(ChannelsLast(Input(network, "pixels")))
                            : movq->decode(ChannelsLast(Input(network, "latents")));
  }

  torch::Tensor Input(const nlohmann::json& network, const std::string& key) const {
    return ValueOrFail(tensors_->Get(network.at("name").get<std::string>() + "." + key));
  }

  const char* const variable_;
  std::string folder_;
  std::shared_ptr<const Checkpoint> tensors_;
};

class GoldenPrecisionTest : public PrecisionTest {
 protected:
  GoldenPrecisionTest() : PrecisionTest("KANDINSKY_GOLDEN_DIR") {}
};

class FullSizePrecisionTest : public PrecisionTest {
 protected:
  FullSizePrecisionTest() : PrecisionTest("KANDINSKY_FULL_SIZE_DIR") {}
};

TEST_F(GoldenPrecisionTest, IsAsCloseToDoublePrecisionAsDiffusers) {
  const nlohmann::json cases = ValueOrFail(ReadJsonFile(folder_ + "precision.json"));
  ASSERT_GE(cases.size(), 100u);
  std::map<std::string, std::pair<double, int>> logs;  // sum of logarithms and number, by kind
  for (const nlohmann::json& network : cases) {
    const double distance = RelativeL2(Run(network), Input(network, "expected"));
    EXPECT_LE(distance, kMaxDistance) << network;
    const double log_ratio = std::log(distance / network.at("distance").get<double>());
    for (const std::string& kind : {network.at("kind").get<std::string>(), std::string("all")}) {
      logs[kind].first += log_ratio;
      ++logs[kind].second;
    }
  }
  for (const auto& [kind, log] : logs) {
    const double ratio = std::exp(log.first / log.second);
    std::printf("%s: %d cases, %.2f times the distance of diffusers\n", kind.c_str(), log.second, ratio);
    EXPECT_LE(ratio, kMaxRatio) << kind;
  }
}

TEST_F(FullSizePrecisionTest, IsAsCloseToDoublePrecisionAsDiffusers) {
  const nlohmann::json cases = ValueOrFail(ReadJsonFile(folder_ + "precision.json"));
  ASSERT_FALSE(cases.empty());
  for (const nlohmann::json& network : cases) {
    const std::string kind = network.at("kind");
    const double distance = RelativeL2(Run(network), Input(network, "expected"));
    const double ratio = distance / network.at("distance").get<double>();
    std::printf("%s: %.2e from double precision, %.2f times the distance of diffusers\n", kind.c_str(),
                distance, ratio);
    EXPECT_LE(distance, kMaxDistance) << kind;
    EXPECT_LE(ratio, kMaxRatio) << kind;
  }
}

}  // namespace
}  // namespace kandinsky
