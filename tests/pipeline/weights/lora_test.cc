#include "pipeline/weights/lora.h"

#include <ATen/ATen.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>
#include <limits>
#include <map>
#include <nlohmann/json.hpp>
#include <string>
#include <utility>
#include <vector>

#include "pipeline/weights/lora_keys.h"
#include "pipeline/weights/lora_metadata.h"
#include "tests/pipeline/weights/weights_test_support.h"

namespace kandinsky {
namespace {

using ::testing::AllOf;
using ::testing::HasSubstr;
using Tensors = std::vector<std::pair<std::string, torch::Tensor>>;

constexpr char kQuery[] = "blocks.0.attn1.to_q";
constexpr char kQueryAlpha[] = "blocks.0.attn1.to_q.alpha";
constexpr char kOut[] = "blocks.0.attn1.to_out.0";
constexpr char kAdded[] = "blocks.0.attn1.add_k_proj";
constexpr char kRows = 3;
constexpr char kColumns = 5;

// Linear layers of [3, 5] with the names of an attention's, and a convolution.
class SmallNetwork : public torch::nn::Module {
 public:
  SmallNetwork() {
    for (const char* name : {kQuery, kOut, kAdded}) Add(name, {kRows, kColumns});
    Add("conv", {2, 2, 3, 3});
  }

  torch::Tensor weight(const std::string& layer) const { return named_parameters()[layer + ".weight"]; }

 private:
  void Add(const std::string& layer, at::IntArrayRef shape) {
    torch::nn::Module* place = this;
    size_t begin = 0;
    for (size_t dot = layer.find('.'); dot != std::string::npos; dot = layer.find('.', begin)) {
      const std::string part = layer.substr(begin, dot - begin);
      if (!place->named_children().contains(part)) {
        place->register_module(part, std::make_shared<torch::nn::Module>(part));
      }
      place = place->named_children()[part].get();
      begin = dot + 1;
    }
    auto leaf = std::make_shared<torch::nn::Module>("leaf");
    leaf->register_parameter("weight", torch::ones(shape), /*requires_grad=*/false);
    place->register_module(layer.substr(begin), leaf);
  }
};

torch::Tensor Down(int64_t rank = 2) {
  return torch::arange(rank * kColumns, torch::kFloat).view({rank, kColumns});
}
torch::Tensor Up(int64_t rank = 2) {
  return torch::arange(kRows * rank, torch::kFloat).view({kRows, rank}) - 2;
}
torch::Tensor Adapted(double factor, int64_t rank = 2) { return 1 + factor * Up(rank).mm(Down(rank)); }

class LoraTest : public ::testing::Test {
 protected:
  std::string Write(const Tensors& tensors, const std::map<std::string, std::string>& metadata = {}) {
    const std::string path = folder_.path() + "/lora.safetensors";
    EXPECT_TRUE(WriteSafetensors(path, tensors, metadata).ok());
    return path;
  }

  absl::Status Merge(SmallNetwork& network, const Tensors& tensors,
                     const std::map<std::string, std::string>& metadata = {}, const LoraUse& use = {}) {
    return MergeLora(network, **OpenCheckpoint(Write(tensors, metadata)), use);
  }

  void ExpectAdapted(const char* layer, const Tensors& tensors, double factor,
                     const std::map<std::string, std::string>& metadata = {}, const LoraUse& use = {}) {
    SmallNetwork network;
    const absl::Status status = Merge(network, tensors, metadata, use);
    ASSERT_TRUE(status.ok()) << status;
    EXPECT_TRUE(at::allclose(network.weight(layer), Adapted(factor))) << tensors[0].first;
    for (const char* other : {kQuery, kOut, kAdded}) {
      if (other == layer) continue;
      EXPECT_TRUE(network.weight(other).eq(1).all().item<bool>()) << other;
    }
  }

  // The network must be as it was.
  std::string ErrorOf(const Tensors& tensors, const std::map<std::string, std::string>& metadata = {},
                      const LoraUse& use = {}) {
    SmallNetwork network;
    const absl::Status status = Merge(network, tensors, metadata, use);
    EXPECT_EQ(status.code(), absl::StatusCode::kInvalidArgument) << status;
    EXPECT_THAT(std::string(status.message()), HasSubstr("/lora.safetensors: "));
    for (const char* layer : {kQuery, kOut, kAdded}) {
      EXPECT_TRUE(network.weight(layer).eq(1).all().item<bool>()) << layer;
    }
    return std::string(status.message());
  }

  static Tensors Peft(const std::string& layer, int64_t rank = 2) {
    return {{layer + ".lora_A.weight", Down(rank)}, {layer + ".lora_B.weight", Up(rank)}};
  }

  static std::map<std::string, std::string> Metadata(const nlohmann::json& config) {
    return {{"lora_adapter_metadata", config.dump()}};
  }

  const TemporaryFolder folder_;
};

TEST_F(LoraTest, EveryFormOfKeysIsRead) {
  const std::string attention = "blocks.0.attn1.";
  for (const std::string prefix : {"", "unet.", "prior."}) {
    for (const auto& [layer, old] : {std::pair{kQuery, "to_q"}, {kOut, "to_out"}, {kAdded, "add_k_proj"}}) {
      const std::string name = prefix + layer;
      ExpectAdapted(layer, Peft(name), 1);
      ExpectAdapted(layer, {{name + ".lora.down.weight", Down()}, {name + ".lora.up.weight", Up()}}, 1);
      for (const std::string& place : {attention + "processor.", attention}) {
        const std::string key = prefix + place + old + "_lora.";
        ExpectAdapted(layer, {{key + "down.weight", Down()}, {key + "up.weight", Up()}}, 1);
      }
    }
  }
  ExpectAdapted(kOut,
                {{"lora_unet_blocks_0_attn1_to_out_0.lora_down.weight", Down()},
                 {"lora_unet_blocks_0_attn1_to_out_0.lora_up.weight", Up()}},
                1);
}

TEST_F(LoraTest, HalfPrecisionIsRead) {
  for (const torch::ScalarType type : {torch::kHalf, torch::kBFloat16, torch::kDouble}) {
    Tensors tensors = Peft(kQuery);
    for (auto& [name, tensor] : tensors) tensor = tensor.to(type);
    ExpectAdapted(kQuery, tensors, 1);
  }
}

TEST_F(LoraTest, AlphaOverRankScalesTheAdapter) {
  const torch::Tensor alpha = torch::tensor(0.5);
  const auto with = [](Tensors tensors, const std::string& key, const torch::Tensor& value) {
    tensors.emplace_back(key, value);
    return tensors;
  };
  ExpectAdapted(kQuery, with(Peft(kQuery), kQueryAlpha, alpha), 0.25);
  ExpectAdapted(kQuery, with(Peft(kQuery), kQueryAlpha, torch::full({1}, 6, torch::kLong)), 3);
  ExpectAdapted(kOut,
                {{"blocks.0.attn1.processor.to_out_lora.down.weight", Down()},
                 {"blocks.0.attn1.processor.to_out_lora.up.weight", Up()},
                 {"blocks.0.attn1.processor.to_out_lora.alpha", alpha}},
                0.25);
  ExpectAdapted(kAdded,
                {{"lora_unet_blocks_0_attn1_add_k_proj.lora_down.weight", Down()},
                 {"lora_unet_blocks_0_attn1_add_k_proj.lora_up.weight", Up()},
                 {"lora_unet_blocks_0_attn1_add_k_proj.alpha", alpha}},
                0.25);
}

TEST_F(LoraTest, TheConfiguredScaleComesOnTop) {
  ExpectAdapted(kQuery, Peft(kQuery), -0.5, {}, {.scale = -0.5});
  ExpectAdapted(kQuery, Peft(kQuery), 0, {}, {.scale = 0});
  ExpectAdapted(kQuery, Peft(kQuery), 1.5, Metadata({{"r", 2}, {"lora_alpha", 6}}), {.scale = 0.5});
}

// The factors are those that peft 0.21 computes for these configurations.
TEST_F(LoraTest, MetadataOfTheHeaderDecideTheScaling) {
  ExpectAdapted(kQuery, Peft(kQuery), 3, Metadata({{"r", 2}, {"lora_alpha", 6}}));
  ExpectAdapted(kQuery, Peft(kQuery), 6 / std::sqrt(2.0),
                Metadata({{"r", 2}, {"lora_alpha", 6}, {"use_rslora", true}}));
  ExpectAdapted(kQuery, Peft(kQuery), 2.5,
                Metadata({{"r", 2}, {"lora_alpha", 6}, {"alpha_pattern", {{kQuery, 5.0}}}}));
  ExpectAdapted(kQuery, Peft(kQuery), 2.5,
                Metadata({{"r", 4},
                          {"lora_alpha", 6},
                          {"rank_pattern", {{"^" + std::string(kQuery), 2}}},
                          {"alpha_pattern", {{"attn1.to_q", 5}, {"to_k", 7}}}}));
  ExpectAdapted(kQuery, Peft(kQuery), 3,
                Metadata({{"r", 2}, {"lora_alpha", 6}, {"alpha_pattern", {{"^attn1.to_q", 5}, {"o_q", 7}}}}));
  // What a configuration leaves out has peft's defaults: rank 8, alpha 8.
  ExpectAdapted(kQuery, Peft(kQuery), 4, Metadata({{"r", 2}}));
}

TEST_F(LoraTest, MetadataMayBeginWithTheNetworksName) {
  const auto metadata = Metadata({{"unet.r", 2}, {"unet.lora_alpha", 6}, {"text_encoder.lora_alpha", 1}});
  ExpectAdapted(kQuery, Peft(std::string("unet.") + kQuery), 3, metadata);
  ExpectAdapted(kQuery, Peft(std::string("unet.") + kQuery), 3, Metadata({{"r", 2}, {"lora_alpha", 6}}));
}

TEST_F(LoraTest, WhatDiffusersWritesBesideTheRankIsAccepted) {
  const auto config = nlohmann::json::parse(R"({"alora_invocation_tokens": null, "alpha_pattern": {},
      "bias": "none", "fan_in_fan_out": false, "init_lora_weights": true, "layer_replication": null,
      "loftq_config": {}, "lora_alpha": 2, "lora_bias": false, "lora_dropout": 0.0, "megatron_core": "megatron.core",
      "modules_to_save": null, "peft_type": "LORA", "peft_version": "0.21.2", "qalora_group_size": 16, "r": 2,
      "rank_pattern": {}, "target_modules": ["to_q"], "use_bdlora": null, "use_dora": false, "use_qalora": false,
      "use_rslora": false})");
  ExpectAdapted(kQuery, Peft(kQuery), 1, Metadata(config));
}

TEST_F(LoraTest, MetadataThatMeanSomethingElseAreRefusedByKey) {
  const auto error_of = [this](const nlohmann::json& config) {
    return ErrorOf(Peft(kQuery), Metadata(config));
  };
  EXPECT_THAT(error_of({{"r", 2}, {"use_dora", true}}), HasSubstr("use_dora true is not supported"));
  EXPECT_THAT(error_of({{"r", 2}, {"lora_bias", true}}), HasSubstr("lora_bias true is not supported"));
  EXPECT_THAT(error_of({{"r", 2}, {"init_lora_weights", "pissa"}}), HasSubstr("init_lora_weights"));
  EXPECT_THAT(error_of({{"r", 2}, {"peft_type", "LOKR"}}), HasSubstr("peft_type"));
  EXPECT_THAT(error_of({{"r", 2}, {"lora_alpha", "x"}}),
              HasSubstr("lora_alpha \"x\" must be a number above 0"));
  EXPECT_THAT(error_of({{"r", 2}, {"lora_alpha", -1}}), HasSubstr("lora_alpha"));
  EXPECT_THAT(error_of({{"r", 2}, {"use_rslora", 1}}), HasSubstr("use_rslora"));
  EXPECT_THAT(error_of({{"r", 2}, {"alpha_pattern", {{".*to_q", 3}}}}),
              HasSubstr("alpha_pattern \".*to_q\""));
  EXPECT_THAT(error_of({{"r", 2}, {"rank_pattern", {{"to_q", "x"}}}}), HasSubstr("rank_pattern \"x\""));
  EXPECT_THAT(error_of(nlohmann::json::array({1})), HasSubstr("lora_adapter_metadata: not a JSON object"));
  EXPECT_THAT(error_of({{"r", 3}}), HasSubstr("has rank 2, but lora_adapter_metadata says 3"));
  EXPECT_THAT(ErrorOf(Peft(kQuery), {{"lora_adapter_metadata", "{"}}), HasSubstr("not valid JSON"));
  Tensors both = Peft(kQuery);
  both.emplace_back(kQueryAlpha, torch::tensor(1.0));
  EXPECT_THAT(ErrorOf(both, Metadata({{"r", 2}})), HasSubstr("an alpha in the file and one in its metadata"));
}

TEST_F(LoraTest, NaNAndInfinityAreRefusedByKey) {
  for (const double bad : {std::numeric_limits<double>::quiet_NaN(), std::numeric_limits<double>::infinity(),
                           -std::numeric_limits<double>::infinity()}) {
    for (const torch::ScalarType type : {torch::kFloat, torch::kHalf, torch::kBFloat16, torch::kDouble}) {
      for (const size_t which : {0, 1, 2}) {
        Tensors tensors = Peft(kQuery);
        tensors.emplace_back(kQueryAlpha, torch::ones({1}));
        auto& [key, tensor] = tensors[which];
        tensor = tensor.to(type).clone();
        tensor.view(-1)[-1] = bad;
        EXPECT_THAT(ErrorOf(tensors), HasSubstr("\"" + key + "\" contains NaN or infinity"));
      }
    }
  }
}

TEST_F(LoraTest, FactorsWhoseProductOverflowsAreRefused) {
  Tensors tensors = Peft(kQuery);
  for (auto& [key, tensor] : tensors) tensor = torch::full_like(tensor, 1e25);
  EXPECT_THAT(ErrorOf(tensors), HasSubstr("its numbers are too large"));
  tensors[0].second = torch::full({2, kColumns}, 1e300, torch::kDouble);
  EXPECT_THAT(ErrorOf(tensors), HasSubstr("contains NaN or infinity"));
}

TEST_F(LoraTest, UnknownKeysAreRefusedWithTheFormsThatAreRead) {
  const std::string layer = kQuery;
  for (const std::string& key :
       {layer + ".weight", layer + ".down.weight", layer + ".lora_linear_layer.down.weight",
        layer + ".lora_B.bias", layer + ".lora_magnitude_vector", layer + ".lokr_w1",
        layer + ".lora_A.default.weight", std::string("lora_te_text_model_to_q.lora_down.weight"),
        std::string(".alpha"), std::string("lora_A.weight")}) {
    Tensors tensors = Peft(kQuery);
    tensors.emplace_back(key, torch::ones({1}));
    EXPECT_THAT(
        ErrorOf(tensors),
        AllOf(HasSubstr("\"" + key + "\" is no adapter's key"), HasSubstr("LAYER.lora_A.weight"),
              HasSubstr("ATTENTION.processor.to_q_lora.down.weight"), HasSubstr("LAYER.lora.down.weight"),
              HasSubstr("lora_unet_LAYER.lora_down.weight"), HasSubstr("LAYER.alpha")))
        << key;
  }
  EXPECT_THAT(ErrorOf({}), AllOf(HasSubstr("no adapters"), HasSubstr("LAYER.lora_A.weight")));
}

TEST_F(LoraTest, WhatDoesNotFitIsRefusedByKey) {
  const std::string a = std::string(kQuery) + ".lora_A.weight";
  const std::string b = std::string(kQuery) + ".lora_B.weight";
  EXPECT_THAT(ErrorOf({{a, Down()}}), HasSubstr(a + "\" stands alone"));
  EXPECT_THAT(ErrorOf({{b, Up()}}), HasSubstr(b + "\" stands alone"));
  EXPECT_THAT(ErrorOf({{kQueryAlpha, torch::ones({1})}}), HasSubstr("stands alone"));
  EXPECT_THAT(
      ErrorOf({{a, Down()}, {b, Up(3)}}),
      HasSubstr("does not fit: the weight of blocks.0.attn1.to_q is [3, 5], the factors up and down are "
                "[3, 3] and [2, 5]"));
  EXPECT_THAT(ErrorOf({{a, torch::ones({2, 6})}, {b, Up()}}), HasSubstr("does not fit"));
  EXPECT_THAT(ErrorOf({{a, torch::ones({5})}, {b, Up()}}), HasSubstr("no matrix"));
  EXPECT_THAT(ErrorOf({{a, Down().to(torch::kInt)}, {b, Up()}}), HasSubstr("floating-point"));
  EXPECT_THAT(ErrorOf(Peft("blocks.9.attn1.to_q")), HasSubstr("a layer that this model does not have"));
  EXPECT_THAT(ErrorOf({{"lora_unet_blocks_9.lora_down.weight", Down()}}),
              HasSubstr("of no layer of this model"));
  EXPECT_THAT(ErrorOf({{"conv.lora_A.weight", torch::ones({1, 2, 3, 3})}}), HasSubstr("of a convolution"));
  EXPECT_THAT(ErrorOf({{a, Down()}, {b, Up()}, {std::string(kQuery) + ".lora.down.weight", Down()}}),
              HasSubstr("adapts the layer blocks.0.attn1.to_q a second time"));
  EXPECT_THAT(ErrorOf({{a, Down()}, {b, Up()}, {kQueryAlpha, torch::ones({2})}}),
              HasSubstr("is not a single number"));
}

TEST_F(LoraTest, AFileOfBothNetworksGivesEachItsOwn) {
  Tensors tensors = Peft(std::string("unet.") + kQuery);
  for (auto& [key, tensor] : Peft(std::string("prior.") + kOut)) tensors.emplace_back(key, tensor);
  ExpectAdapted(kQuery, tensors, 1, {}, {.shared = true, .network = "unet"});
  ExpectAdapted(kOut, tensors, 1, {}, {.shared = true, .network = "prior"});
  EXPECT_THAT(ErrorOf(tensors), HasSubstr("the file be given to both"));
}

TEST(LoraKeysTest, TheTwoWrittenFormsTranslateIntoEachOther) {
  for (const char* layer : {kQuery, kOut, kAdded, "to_q"}) {
    const LoraKeys peft = LoraKeysOf(layer, LoraForm::kPeft);
    const LoraKeys old = LoraKeysOf(layer, LoraForm::kAttentionProcessor);
    EXPECT_EQ(KeyInOtherForm("exp_avg." + peft.down), "exp_avg." + old.down);
    EXPECT_EQ(KeyInOtherForm("exp_avg." + old.up), "exp_avg." + peft.up);
  }
  EXPECT_EQ(LoraKeysOf(kOut, LoraForm::kAttentionProcessor).down,
            "blocks.0.attn1.processor.to_out_lora.down.weight");
  EXPECT_EQ(KeyInOtherForm("blocks.0.weight"), "");
}

TEST(LoraMetadataTest, WhatIsWrittenIsReadAsAScaleOfOne) {
  const TemporaryFolder folder;
  const std::string path = folder.path() + "/lora.safetensors";
  ASSERT_TRUE(WriteSafetensors(path, {{"a", torch::ones({1})}}, PeftMetadata(4, {"to_q"})).ok());
  const auto metadata = LoraMetadata::Read(**OpenCheckpoint(path), "");
  ASSERT_TRUE(metadata.ok() && metadata->has_value()) << metadata.status();
  EXPECT_EQ(*(*metadata)->Scaling("blocks.0.to_q", 4), 1.0);
  EXPECT_FALSE((*metadata)->Scaling("blocks.0.to_q", 3).ok());
}

}  // namespace
}  // namespace kandinsky
