#include <ATen/ATen.h>
#include <ATen/CPUGeneratorImpl.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>
#include <filesystem>
#include <memory>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "pipeline/models/prior_transformer.h"
#include "pipeline/weights/lora.h"
#include "pipeline/weights/safetensors.h"
#include "tests/training/temporary_folder.h"
#include "training/initial_weights.h"
#include "training/learning_rate.h"
#include "training/lora_adapters.h"
#include "training/noising.h"
#include "training/optimizer.h"
#include "training/parameter_average.h"

namespace kandinsky::training {
namespace {

using ::testing::HasSubstr;

// ---- learning rate

TEST(LearningRateTest, RisesFromZeroOverTheWarmup) {
  const ScheduleOptions schedule = {.kind = ScheduleKind::kConstant, .warmup_steps = 4};
  EXPECT_EQ(LearningRateFactor(schedule, 0, 100), 0.0);
  EXPECT_EQ(LearningRateFactor(schedule, 1, 100), 0.25);
  EXPECT_EQ(LearningRateFactor(schedule, 4, 100), 1.0);
  EXPECT_EQ(LearningRateFactor(schedule, 99, 100), 1.0);
}

TEST(LearningRateTest, FallsLinearlyToZero) {
  const ScheduleOptions schedule = {.kind = ScheduleKind::kLinear, .warmup_steps = 10};
  EXPECT_DOUBLE_EQ(LearningRateFactor(schedule, 10, 110), 1.0);
  EXPECT_DOUBLE_EQ(LearningRateFactor(schedule, 60, 110), 0.5);
  EXPECT_DOUBLE_EQ(LearningRateFactor(schedule, 110, 110), 0.0);
}

TEST(LearningRateTest, FallsAlongHalfACosine) {
  const ScheduleOptions schedule = {.kind = ScheduleKind::kCosine, .warmup_steps = 0};
  EXPECT_DOUBLE_EQ(LearningRateFactor(schedule, 0, 100), 1.0);
  EXPECT_NEAR(LearningRateFactor(schedule, 25, 100), 0.5 * (1 + std::sqrt(0.5)), 1e-12);
  EXPECT_NEAR(LearningRateFactor(schedule, 50, 100), 0.5, 1e-12);
  EXPECT_NEAR(LearningRateFactor(schedule, 100, 100), 0.0, 1e-12);
}

// ---- noising

TEST(NoisingTest, KeepsTheVarianceOfUnitInputs) {
  const Noising noising = Noising::Make({}).value();
  const torch::Tensor timesteps = torch::tensor({int64_t{0}, int64_t{500}, int64_t{999}});
  const torch::Tensor clean = at::ones({3, 2});
  const torch::Tensor kept = noising.AddNoise(clean, at::zeros({3, 2}), timesteps);
  const torch::Tensor added = noising.AddNoise(at::zeros({3, 2}), clean, timesteps);
  EXPECT_TRUE(at::allclose(kept.square() + added.square(), at::ones({3, 2})));
  EXPECT_GT(kept[0][0].item<float>(), 0.99f);
  EXPECT_LT(kept[2][0].item<float>(), 0.1f);
}

TEST(NoisingTest, SignalToNoiseWeighsRowsAndIsCut) {
  const torch::Tensor target = at::zeros({2, 4});
  const torch::Tensor predicted = at::ones({2, 4});
  const torch::Tensor snr = torch::tensor({0.5f, 10.0f});
  const auto loss = [&](double gamma, Prediction kind) {
    return WeightedSquaredError(predicted, target, snr, gamma, kind).item<double>();
  };
  EXPECT_DOUBLE_EQ(loss(0, Prediction::kSample), 1.0);
  EXPECT_DOUBLE_EQ(loss(5, Prediction::kSample), (0.5 + 5) / 2);
  EXPECT_DOUBLE_EQ(loss(5, Prediction::kNoise), (1 + 0.5) / 2);
}

// ---- optimizer

NamedTensors OneParameter(float value) { return {{"w", torch::full({2}, value).requires_grad_()}}; }

TEST(OptimizerTest, ParametersWithoutGradientStay) {
  for (const OptimizerKind kind : {OptimizerKind::kAdamW, OptimizerKind::kAdafactor}) {
    const NamedTensors parameters = OneParameter(3);
    const auto optimizer = MakeOptimizer({.kind = kind, .weight_decay = 0.5}, parameters);
    optimizer->Step(0.1);
    EXPECT_EQ(parameters[0].second[0].item<float>(), 3.0f);
  }
}

TEST(OptimizerTest, CopiedStateContinuesTheSameWay) {
  for (const OptimizerKind kind : {OptimizerKind::kAdamW, OptimizerKind::kAdafactor}) {
    const NamedTensors first = {{"w", at::ones({3, 2}).requires_grad_()}};
    const auto optimizer = MakeOptimizer({.kind = kind}, first);
    const auto step = [](const NamedTensors& parameters, Optimizer& stepped) {
      parameters[0].second.square().sum().backward();
      stepped.Step(0.01);
      torch::Tensor(parameters[0].second).mutable_grad().reset();
    };
    step(first, *optimizer);
    const NamedTensors second = {{"w", first[0].second.detach().clone().requires_grad_()}};
    const auto continued = MakeOptimizer({.kind = kind}, second);
    const NamedTensors from = optimizer->State();
    const NamedTensors to = continued->State();
    ASSERT_EQ(from.size(), to.size());
    for (size_t i = 0; i < from.size(); ++i) {
      EXPECT_EQ(from[i].first, to[i].first);
      torch::Tensor(to[i].second).copy_(from[i].second);
    }
    step(first, *optimizer);
    step(second, *continued);
    EXPECT_TRUE(at::equal(first[0].second, second[0].second));
  }
}

TEST(ClipGradientsTest, ScalesAllGradientsTogether) {
  const NamedTensors parameters = {{"a", at::zeros({1}).requires_grad_()},
                                   {"b", at::zeros({1}).requires_grad_()}};
  (parameters[0].second * 3 + parameters[1].second * 4).sum().backward();
  EXPECT_DOUBLE_EQ(ClipGradients(parameters, 0), 5.0);
  EXPECT_EQ(parameters[0].second.grad().item<float>(), 3.0f) << "0 leaves them";
  EXPECT_DOUBLE_EQ(ClipGradients(parameters, 1.0), 5.0);
  EXPECT_NEAR(parameters[0].second.grad().item<double>(), 0.6, 1e-6);
  EXPECT_NEAR(parameters[1].second.grad().item<double>(), 0.8, 1e-6);
}

// ---- average

TEST(ParameterAverageTest, FollowsQuicklyAtFirstAndSlowlyLater) {
  const NamedTensors parameters = OneParameter(0);
  ParameterAverage average(parameters, 0.9999);
  torch::Tensor(parameters[0].second.detach()).fill_(1);
  const auto value = [&] { return average.State()[0].second[0].item<double>(); };
  average.Update(1);
  EXPECT_DOUBLE_EQ(value(), 1.0) << "the first step keeps nothing";
  torch::Tensor(parameters[0].second.detach()).fill_(2);
  average.Update(2);
  EXPECT_NEAR(value(), 2 - 2.0 / 11, 1e-6);
  torch::Tensor(parameters[0].second.detach()).fill_(0);
  const double before = value();
  average.Update(1000000);
  EXPECT_NEAR(value(), before * 0.9999, 1e-6);
}

TEST(ParameterAverageTest, SwapsBackAndForth) {
  const NamedTensors parameters = OneParameter(1);
  ParameterAverage average(parameters, 0.5);
  torch::Tensor(parameters[0].second.detach()).fill_(5);
  average.Swap();
  EXPECT_EQ(parameters[0].second[0].item<float>(), 1.0f);
  EXPECT_EQ(average.State()[0].second[0].item<float>(), 5.0f);
  average.Swap();
  EXPECT_EQ(parameters[0].second[0].item<float>(), 5.0f);
}

// ---- initial weights and adapters

PriorTransformer SmallPrior(uint64_t seed) {
  PriorTransformerConfig config;
  config.num_attention_heads = 2;
  config.attention_head_dim = 4;
  config.num_layers = 2;
  config.embedding_dim = 6;
  config.num_embeddings = 5;
  PriorTransformer prior(config);
  InitializeWeights(prior, seed);
  return prior;
}

torch::Tensor Predict(const PriorTransformer& prior) {
  const at::NoGradGuard no_grad;
  at::Generator generator = at::detail::createCPUGenerator(1);
  const torch::Tensor x = at::randn({2, 6}, generator);
  return prior.forward(x, at::full({2}, 3, at::kLong), at::randn({2, 6}, generator),
                       at::randn({2, 5, 6}, generator), at::ones({2, 5}, at::kBool));
}

TEST(InitialWeightsTest, AreThoseOfNewLayers) {
  const PriorTransformer prior = SmallPrior(7);
  EXPECT_TRUE(at::equal(prior.norm_out->weight, at::ones({8})));
  EXPECT_TRUE(at::equal(prior.norm_out->bias, at::zeros({8})));
  EXPECT_TRUE(at::equal(prior.prd_embedding, at::zeros({1, 1, 8})));
  const double bound = 1 / std::sqrt(6.0);
  EXPECT_LE(prior.proj_in->weight.abs().max().item<double>(), bound);
  EXPECT_GT(prior.proj_in->weight.abs().max().item<double>(), bound / 2);
  EXPECT_GT(prior.proj_in->bias.abs().max().item<double>(), 0);
  EXPECT_TRUE(at::equal(prior.proj_in->weight, SmallPrior(7).proj_in->weight));
  EXPECT_FALSE(at::equal(prior.proj_in->weight, SmallPrior(8).proj_in->weight));
}

const LoraOptions kLora = {.rank = 2, .targets = {"to_q", "to_k", "to_v", "to_out.0"}};

TEST(LoraAdaptersTest, HaveThePublishedNamesAndChangeNothingAtFirst) {
  PriorTransformer prior = SmallPrior(7);
  const torch::Tensor before = Predict(prior);
  LoraAdapters adapters = LoraAdapters::Attach(prior, kLora, 5).value();
  ASSERT_EQ(adapters.parameters().size(), 2u * 4 * 2);
  EXPECT_EQ(adapters.parameters()[0].first, "transformer_blocks.0.attn1.to_q.lora_A.weight");
  EXPECT_EQ(adapters.parameters()[7].first, "transformer_blocks.0.attn1.to_out.0.lora_B.weight");
  EXPECT_EQ(adapters.parameters()[0].second.sizes(), (std::vector<int64_t>{2, 8}));
  adapters.Apply();
  EXPECT_TRUE(at::equal(Predict(prior), before));
}

TEST(LoraAdaptersTest, OnlyTheFactorsGetGradients) {
  PriorTransformer prior = SmallPrior(7);
  LoraAdapters adapters = LoraAdapters::Attach(prior, kLora, 5).value();
  adapters.Apply();
  prior
      .forward(at::ones({1, 6}), at::full({1}, 3, at::kLong), at::ones({1, 6}), at::ones({1, 5, 6}),
               at::ones({1, 5}, at::kBool))
      .sum()
      .backward();
  EXPECT_TRUE(adapters.parameters()[1].second.grad().defined());
  for (const auto& parameter : prior.named_parameters()) {
    EXPECT_FALSE(parameter.value().grad().defined()) << parameter.key();
  }
}

TEST(LoraAdaptersTest, AFileOfThemInEitherFormMergesToTheSameNetwork) {
  LoraOptions options = kLora;
  for (const AdapterForm form : {AdapterForm::kPeft, AdapterForm::kAttentionProcessors}) {
    options.form = form;
    PriorTransformer trained = SmallPrior(7);
    LoraAdapters adapters = LoraAdapters::Attach(trained, options, 5).value();
    for (const auto& [name, factor] : adapters.parameters()) torch::Tensor(factor.detach()).normal_();
    adapters.Apply();
    const torch::Tensor expected = Predict(trained);

    const testing::TemporaryFolder folder;
    const std::string path = folder.path() + "/pytorch_lora_weights.safetensors";
    ASSERT_TRUE(WriteLoraFile(path, adapters.parameters(), options).ok());
    PriorTransformer served = SmallPrior(7);
    ASSERT_TRUE(MergeLora(served, **OpenCheckpoint(path)).ok());
    EXPECT_TRUE(at::allclose(Predict(served), expected, 1e-5, 1e-6));

    PriorTransformer unchanged = SmallPrior(7);
    ASSERT_TRUE(MergeLora(unchanged, **OpenCheckpoint(path), {.scale = 0}).ok());
    EXPECT_TRUE(at::equal(Predict(unchanged), Predict(SmallPrior(7))));
  }
}

TEST(LoraAdaptersTest, TheOlderFormHasTheNamesOfAttentionProcessors) {
  LoraOptions options = kLora;
  options.form = AdapterForm::kAttentionProcessors;
  PriorTransformer prior = SmallPrior(7);
  const LoraAdapters adapters = LoraAdapters::Attach(prior, options, 5).value();
  EXPECT_EQ(adapters.parameters()[0].first, "transformer_blocks.0.attn1.processor.to_q_lora.down.weight");
  EXPECT_EQ(adapters.parameters()[7].first, "transformer_blocks.0.attn1.processor.to_out_lora.up.weight");
}

TEST(LoraAdaptersTest, TheHeaderTellsRankAndTargets) {
  PriorTransformer prior = SmallPrior(7);
  const LoraAdapters adapters = LoraAdapters::Attach(prior, kLora, 5).value();
  const testing::TemporaryFolder folder;
  const std::string path = folder.path() + "/pytorch_lora_weights.safetensors";
  ASSERT_TRUE(WriteLoraFile(path, adapters.parameters(), kLora).ok());
  const auto metadata =
      nlohmann::json::parse((*OpenCheckpoint(path))->metadata().at("lora_adapter_metadata"));
  EXPECT_EQ(metadata["r"], 2);
  EXPECT_EQ(metadata["lora_alpha"], 2);
  EXPECT_EQ(metadata["target_modules"], nlohmann::json(kLora.targets));
}

TEST(LoraAdaptersTest, UnmergingRestoresTheWeightsToTheBit) {
  PriorTransformer prior = SmallPrior(7);
  const torch::Tensor before = prior.named_parameters()["transformer_blocks.1.attn1.to_v.weight"].clone();
  LoraAdapters adapters = LoraAdapters::Attach(prior, kLora, 5).value();
  for (const auto& [name, factor] : adapters.parameters()) torch::Tensor(factor.detach()).normal_();
  adapters.Merge();
  EXPECT_FALSE(at::equal(prior.named_parameters()["transformer_blocks.1.attn1.to_v.weight"], before));
  adapters.Unmerge();
  EXPECT_TRUE(at::equal(prior.named_parameters()["transformer_blocks.1.attn1.to_v.weight"], before));
}

TEST(LoraAdaptersTest, ATargetThatNamesNoLayerIsAnError) {
  PriorTransformer prior = SmallPrior(7);
  const auto adapters = LoraAdapters::Attach(prior, {.rank = 2, .targets = {"to_q", "add_k_proj"}}, 5);
  EXPECT_EQ(adapters.status().code(), absl::StatusCode::kNotFound);
  EXPECT_THAT(std::string(adapters.status().message()), HasSubstr("\"add_k_proj\""));
}

}  // namespace
}  // namespace kandinsky::training
