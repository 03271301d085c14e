#include "pipeline/weights/strict_load.h"

#include <ATen/ATen.h>
#include <c10/core/InferenceMode.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <limits>

#include "tests/pipeline/weights/weights_test_support.h"

namespace kandinsky {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using NamedTensors = std::vector<std::pair<std::string, torch::Tensor>>;

struct Inner : torch::nn::Module {
  torch::Tensor weight = register_parameter("weight", torch::zeros({4, 3, 3, 3}), false);
  torch::Tensor bias = register_parameter("bias", torch::zeros({4}), false);
};

struct Outer : torch::nn::Module {
  std::shared_ptr<Inner> conv = register_module("conv", std::make_shared<Inner>());
  torch::Tensor scale = register_parameter("scale", torch::zeros({2, 3}), false);
  torch::Tensor ids = register_buffer("position_ids", torch::zeros({1, 5}, torch::kLong));
};

class StrictLoadTest : public ::testing::Test {
 protected:
  // What Outer needs, in F32.
  static NamedTensors Weights(const std::string& prefix = "") {
    torch::manual_seed(1);
    return {{prefix + "conv.weight", torch::randn({4, 3, 3, 3})},
            {prefix + "conv.bias", torch::randn({4})},
            {prefix + "scale", torch::randn({2, 3})},
            {prefix + "position_ids", torch::arange(5).reshape({1, 5})}};
  }

  static NamedTensors Without(NamedTensors tensors, const std::string& name) {
    tensors.erase(
        std::find_if(tensors.begin(), tensors.end(), [&](const auto& t) { return t.first == name; }));
    return tensors;
  }

  std::shared_ptr<const Checkpoint> Save(const NamedTensors& tensors) {
    const std::string path = folder_.path() + "/w.safetensors";
    EXPECT_TRUE(WriteSafetensors(path, tensors).ok());
    return *OpenCheckpoint(path);
  }

  std::string ErrorOf(const NamedTensors& tensors, LoadReport* report = nullptr) {
    const absl::Status status = LoadStrict(module_, *Save(tensors), {}, report);
    EXPECT_EQ(status.code(), absl::StatusCode::kInvalidArgument);
    return std::string(status.message());
  }

  const TemporaryFolder folder_;
  Outer module_;
};

TEST_F(StrictLoadTest, AssignsParametersAndBuffersByName) {
  LoadReport report;
  ASSERT_TRUE(LoadStrict(module_, *Save(Weights()), {}, &report).ok());
  EXPECT_TRUE(module_.conv->weight.equal(Weights()[0].second));
  EXPECT_TRUE(module_.conv->bias.equal(Weights()[1].second));
  EXPECT_TRUE(module_.scale.equal(Weights()[2].second));
  EXPECT_TRUE(module_.ids.equal(Weights()[3].second));
  EXPECT_TRUE(module_.named_parameters()["conv.weight"].equal(Weights()[0].second));
  EXPECT_EQ(report.loaded_tensors, 4);
  EXPECT_TRUE(report.ok());
  EXPECT_EQ(report.ToString(), "");
}

TEST_F(StrictLoadTest, UsesTheMappedBytesWhereTheyFit) {
  const auto checkpoint = Save(Weights());
  LoadReport report;
  ASSERT_TRUE(LoadStrict(module_, *checkpoint, {}, &report).ok());
  EXPECT_EQ(report.copied_tensors, 0);
  EXPECT_EQ(module_.scale.data_ptr(), checkpoint->Get("scale")->data_ptr());
}

TEST_F(StrictLoadTest, ConvertsFloatingPointOnly) {
  LoadReport report;
  ASSERT_TRUE(LoadStrict(module_, *Save(Weights()), {.dtype = torch::kBFloat16}, &report).ok());
  EXPECT_EQ(module_.scale.scalar_type(), torch::kBFloat16);
  EXPECT_TRUE(module_.scale.equal(Weights()[2].second.to(torch::kBFloat16)));
  EXPECT_EQ(module_.ids.scalar_type(), torch::kLong);
  EXPECT_EQ(report.copied_tensors, 3);
}

TEST_F(StrictLoadTest, TakesHalfPrecisionFilesIntoAFloatModel) {
  NamedTensors weights = Weights();
  for (auto& [name, tensor] : weights) {
    if (tensor.is_floating_point()) tensor = tensor.to(torch::kHalf);
  }
  ASSERT_TRUE(LoadStrict(module_, *Save(weights)).ok());
  EXPECT_EQ(module_.scale.scalar_type(), torch::kFloat);
  EXPECT_TRUE(module_.scale.equal(weights[2].second.to(torch::kFloat)));
}

TEST_F(StrictLoadTest, MakesNormalTensorsInsideInferenceMode) {
  const auto checkpoint = Save(Weights());
  const c10::InferenceMode guard;
  ASSERT_TRUE(LoadStrict(module_, *checkpoint, {.dtype = torch::kBFloat16}).ok());
  EXPECT_FALSE(module_.scale.is_inference());
}

// W-05
TEST_F(StrictLoadTest, ListsEveryMissingUnexpectedAndMisshapenTensor) {
  NamedTensors weights = Without(Without(Weights(), "conv.weight"), "conv.bias");
  weights[0].second = torch::ones({3, 2});
  weights.emplace_back("extra.b", torch::ones({1}));
  weights.emplace_back("extra.a", torch::ones({1}));
  LoadReport report;
  const std::string error = ErrorOf(weights, &report);
  EXPECT_THAT(report.missing, ElementsAre("conv.bias", "conv.weight"));
  EXPECT_THAT(report.unexpected, ElementsAre("extra.a", "extra.b"));
  EXPECT_THAT(report.misshapen, ElementsAre("scale: [3, 2] in the file, [2, 3] in the model"));
  EXPECT_FALSE(report.ok());
  EXPECT_THAT(error, HasSubstr("w.safetensors: 5 tensors do not fit the model:\nmissing conv.bias\nmissing "
                               "conv.weight\nunexpected extra.a\nunexpected extra.b\nmisshapen scale: "));
}

TEST_F(StrictLoadTest, LeavesTheModuleAloneWhenAnythingIsWrong) {
  ErrorOf(Without(Weights(), "scale"));
  EXPECT_TRUE(module_.conv->weight.equal(torch::zeros({4, 3, 3, 3})));
}

TEST_F(StrictLoadTest, RefusesIntegersForFloatsAndTheReverse) {
  NamedTensors weights = Weights();
  weights[2].second = torch::ones({2, 3}, torch::kLong);
  EXPECT_THAT(ErrorOf(weights), HasSubstr("misshapen scale: Long in the file, Float in the model"));
}

TEST_F(StrictLoadTest, OnlyWarnsOfNanAndInfinityInEveryDtype) {
  for (const auto dtype : {torch::kFloat, torch::kHalf, torch::kBFloat16, torch::kDouble}) {
    NamedTensors weights = Weights();
    weights[1].second = torch::tensor({1.0, 2.0, std::numeric_limits<double>::quiet_NaN(), 4.0}).to(dtype);
    weights[2].second = weights[2].second.to(dtype);
    weights[2].second[1][2] = -std::numeric_limits<double>::infinity();
    LoadReport report;
    ASSERT_TRUE(LoadStrict(module_, *Save(weights), {}, &report).ok());
    EXPECT_THAT(report.warnings,
                ElementsAre("conv.bias contains NaN or infinity", "scale contains NaN or infinity"));
    EXPECT_THAT(report.ToString(), HasSubstr("warning: conv.bias contains NaN or infinity"));
  }
}

TEST_F(StrictLoadTest, LetsIgnoredNamesBeMissingLeftOverOrMisshapen) {
  ASSERT_TRUE(
      LoadStrict(module_, *Save(Without(Weights(), "position_ids")), {.ignored = {"*position_ids"}}).ok());
  NamedTensors weights = Weights();
  weights.emplace_back("text.embeddings.position_ids", torch::arange(3));
  ASSERT_TRUE(LoadStrict(module_, *Save(weights)).ok());
  weights[3].second = torch::arange(7);
  EXPECT_TRUE(LoadStrict(module_, *Save(weights), {.ignored = {"*position_ids"}}).ok());
  EXPECT_FALSE(LoadStrict(module_, *Save(weights), {.ignored = {}}).ok());
}

TEST_F(StrictLoadTest, TakesStarsInTheMiddleOfPatterns) {
  NamedTensors weights = Weights();
  weights.emplace_back("decoder.7.mask", torch::ones({1}));
  const auto checkpoint = Save(weights);
  EXPECT_TRUE(LoadStrict(module_, *checkpoint, {.ignored = {"decoder.*.mask"}}).ok());
  EXPECT_FALSE(LoadStrict(module_, *checkpoint, {.ignored = {"decoder.*.mas"}}).ok());
  EXPECT_FALSE(LoadStrict(module_, *checkpoint, {.ignored = {"ecoder.*.mask"}}).ok());
}

TEST_F(StrictLoadTest, AcceptsACheckpointWithoutTheOptionalPrefix) {
  torch::nn::Module wrapper;
  const auto inner = wrapper.register_module("text_model", std::make_shared<Outer>());
  ASSERT_TRUE(LoadStrict(wrapper, *Save(Weights("text_model."))).ok());
  inner->scale.set_data(torch::zeros({2, 3}));
  ASSERT_TRUE(LoadStrict(wrapper, *Save(Weights())).ok());
  EXPECT_TRUE(inner->scale.equal(Weights()[2].second));
  EXPECT_FALSE(LoadStrict(wrapper, *Save(Weights()), {.optional_prefix = "vision_model."}).ok());
}

TEST_F(StrictLoadTest, DoesNotMixNamesWithAndWithoutPrefix) {
  torch::nn::Module wrapper;
  wrapper.register_module("text_model", std::make_shared<Outer>());
  NamedTensors weights = Without(Weights("text_model."), "text_model.scale");
  weights.emplace_back("scale", torch::ones({2, 3}));
  LoadReport report;
  EXPECT_FALSE(LoadStrict(wrapper, *Save(weights), {}, &report).ok());
  EXPECT_THAT(report.missing, ElementsAre("text_model.scale"));
  EXPECT_THAT(report.unexpected, ElementsAre("scale"));
}

TEST(LoadReportTest, CutsLongListsAndSaysHowMuchIsLeft) {
  LoadReport report;
  for (int i = 0; i < 30; ++i) report.missing.push_back("w" + std::to_string(i));
  const std::string text = report.ToString();
  EXPECT_EQ(std::count(text.begin(), text.end(), '\n'), 20);
  EXPECT_THAT(text, HasSubstr("missing w19\nand 10 more"));
  EXPECT_THAT(report.ToString(30), Not(HasSubstr("more")));
}

}  // namespace
}  // namespace kandinsky
