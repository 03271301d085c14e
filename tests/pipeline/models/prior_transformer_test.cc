#include "pipeline/models/prior_transformer.h"

#include <ATen/ATen.h>
#include <gtest/gtest.h>

#include "tests/pipeline/models/model_test_support.h"

namespace kandinsky {
namespace {

using testing::RandomizeParameters;
using testing::RandomTensor;
using testing::RelativeL2;

constexpr int64_t kWidth = 20;
constexpr int64_t kTokens = 77;
constexpr int64_t kRows = 3;

PriorTransformerConfig TinyPrior() {
  PriorTransformerConfig config;
  config.num_attention_heads = 3;
  config.attention_head_dim = 8;
  config.num_layers = 3;
  config.embedding_dim = kWidth;
  return config;
}

// Inputs of kRows texts that keep 3, 40 and all 77 tokens.
struct Inputs {
  torch::Tensor x = RandomTensor({kRows, kWidth}, 1);
  torch::Tensor timesteps = torch::tensor({980.0f, 7.0f, 412.5f});
  torch::Tensor text_embeds = RandomTensor({kRows, kWidth}, 2);
  torch::Tensor text_hidden = RandomTensor({kRows, kTokens, kWidth}, 3);
  torch::Tensor mask = torch::ones({kRows, kTokens}, torch::kBool);

  Inputs() {
    mask[0].narrow(0, 3, kTokens - 3).fill_(false);
    mask[1].narrow(0, 40, kTokens - 40).fill_(false);
  }
};

class PriorTransformerTest : public ::testing::Test {
 protected:
  PriorTransformerTest() : model_(TinyPrior()) { RandomizeParameters(model_, 5); }

  torch::Tensor Full(const Inputs& in) const {
    return model_.forward(in.x, in.timesteps, in.text_embeds, in.text_hidden, in.mask);
  }
  PriorPrefix Prefix(const Inputs& in) const {
    return model_.encode_prefix(in.text_embeds, in.text_hidden, in.mask);
  }

  PriorTransformer model_;
  Inputs in_;
};

TEST_F(PriorTransformerTest, PrefixAndSuffixEqualTheWholeSequence) {
  const PriorPrefix prefix = Prefix(in_);
  ASSERT_EQ(prefix.keys.size(), 3u);
  EXPECT_EQ(prefix.keys[0].sizes(), (at::IntArrayRef{kRows, 3, 78, 8}));
  EXPECT_EQ(prefix.bias.sizes(), (at::IntArrayRef{kRows, 1, 3, 81}));
  EXPECT_LE(RelativeL2(model_.forward_suffix(in_.x, in_.timesteps, prefix), Full(in_)), 1e-5);
}

TEST_F(PriorTransformerTest, OnePrefixServesEveryStep) {
  const PriorPrefix prefix = Prefix(in_);
  for (const float timestep : {999.0f, 500.0f, 0.0f}) {
    Inputs step = in_;
    step.timesteps = torch::full({kRows}, timestep);
    step.x = RandomTensor({kRows, kWidth}, static_cast<uint64_t>(timestep) + 10);
    EXPECT_LE(RelativeL2(model_.forward_suffix(step.x, step.timesteps, prefix), Full(step)), 1e-5)
        << timestep;
  }
}

TEST_F(PriorTransformerTest, PaddedTokensHaveNoInfluence) {
  Inputs other = in_;
  other.text_hidden = in_.text_hidden.clone();
  other.text_hidden[0].narrow(0, 3, kTokens - 3).fill_(4.0f);
  EXPECT_LE(RelativeL2(Full(other), Full(in_)), 1e-6);
  EXPECT_LE(RelativeL2(model_.forward_suffix(in_.x, in_.timesteps, Prefix(other)), Full(in_)), 1e-5);
}

TEST_F(PriorTransformerTest, EveryInputHasInfluence) {
  const torch::Tensor base = Full(in_);
  for (torch::Tensor Inputs::*field : {&Inputs::x, &Inputs::text_embeds, &Inputs::text_hidden}) {
    Inputs other = in_;
    other.*field = other.*field + 1;
    EXPECT_GT(RelativeL2(Full(other), base), 1e-3);
  }
  Inputs later = in_;
  later.timesteps = in_.timesteps + 5;
  EXPECT_GT(RelativeL2(Full(later), base), 1e-3);
  Inputs longer = in_;
  longer.mask = torch::ones({kRows, kTokens}, torch::kBool);
  EXPECT_GT(RelativeL2(Full(longer)[0], base[0]), 1e-3);
}

TEST_F(PriorTransformerTest, SelectedAndConcatenatedRowsGiveTheirOwnResults) {
  const PriorPrefix prefix = Prefix(in_);
  const torch::Tensor together = model_.forward_suffix(in_.x, in_.timesteps, prefix);
  const PriorPrefix last = SelectPrefixRows(prefix, 2, 1);
  const PriorPrefix first_two = SelectPrefixRows(prefix, 0, 2);
  const PriorPrefix* const parts[] = {&last, &first_two};
  const torch::Tensor order = torch::tensor({2, 0, 1});
  const torch::Tensor rotated = model_.forward_suffix(
      in_.x.index_select(0, order), in_.timesteps.index_select(0, order), ConcatenatePrefixes(parts));
  EXPECT_LE(RelativeL2(rotated, together.index_select(0, order)), 1e-6);
}

TEST_F(PriorTransformerTest, RowsAreIndependent) {
  const torch::Tensor together = Full(in_);
  const PriorPrefix prefix = Prefix(in_);
  for (int64_t row = 0; row < kRows; ++row) {
    const torch::Tensor alone = model_.forward_suffix(
        in_.x.narrow(0, row, 1), in_.timesteps.narrow(0, row, 1), SelectPrefixRows(prefix, row, 1));
    EXPECT_LE(RelativeL2(alone[0], together[row]), 1e-5);
  }
}

TEST_F(PriorTransformerTest, GradientReachesEveryParameterButTheStatistics) {
  testing::RequireGradients(model_);
  Full(in_).square().sum().backward();
  for (const std::string& name : testing::ParametersWithoutGradient(model_)) {
    // A bias of the keys shifts all scores of a query alike, which softmax does not see.
    EXPECT_TRUE(name == "clip_mean" || name == "clip_std" || name.ends_with("to_k.bias")) << name;
  }
}

}  // namespace
}  // namespace kandinsky
