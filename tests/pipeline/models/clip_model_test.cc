#include <ATen/ATen.h>
#include <gtest/gtest.h>

#include "pipeline/models/clip_text_model.h"
#include "pipeline/models/clip_vision_model.h"
#include "tests/pipeline/models/model_test_support.h"

namespace kandinsky {
namespace {

using testing::RandomizeParameters;
using testing::RandomTensor;
using testing::RelativeL2;

constexpr int64_t kVocabulary = 60;
constexpr int64_t kEndOfText = kVocabulary - 1;

ClipTextConfig TinyText() {
  return {.vocab_size = kVocabulary,
          .hidden_size = 24,
          .intermediate_size = 40,
          .projection_dim = 10,
          .num_hidden_layers = 2,
          .num_attention_heads = 3,
          .max_position_embeddings = 77,
          .hidden_act = "gelu",
          .layer_norm_eps = 1e-5,
          .eos_token_id = kEndOfText};
}

ClipVisionConfig TinyVision() {
  return {.hidden_size = 24,
          .intermediate_size = 40,
          .projection_dim = 10,
          .num_hidden_layers = 2,
          .num_attention_heads = 2,
          .num_channels = 3,
          .image_size = 28,
          .patch_size = 14,
          .hidden_act = "gelu",
          .layer_norm_eps = 1e-5};
}

// Token ids of `texts` rows: row i holds 5 + i tokens and then only end-of-text.
torch::Tensor TokenIds(int64_t texts) {
  torch::Tensor ids = (at::arange(texts * 77, at::kLong) * 7 % (kVocabulary - 2)).view({texts, 77});
  for (int64_t row = 0; row < texts; ++row) ids[row].narrow(0, 5 + row, 72 - row).fill_(kEndOfText);
  return ids;
}

TEST(ClipTextModelTest, ReturnsTokensAndAProjectionOfAnotherWidth) {
  ClipTextModelWithProjection model(TinyText());
  RandomizeParameters(model, 1);
  const ClipTextOutput output = model.forward(TokenIds(3));
  EXPECT_EQ(output.last_hidden_state.sizes(), (at::IntArrayRef{3, 77, 24}));
  EXPECT_EQ(output.text_embeds.sizes(), (at::IntArrayRef{3, 10}));
}

TEST(ClipTextModelTest, PoolsTheFirstEndOfTextTokenUnderBothRules) {
  ClipTextConfig config = TinyText();
  for (const int64_t eos_token_id : {kEndOfText, int64_t{2}}) {
    config.eos_token_id = eos_token_id;
    ClipTextModelWithProjection model(config);
    RandomizeParameters(model, 1);
    const ClipTextOutput output = model.forward(TokenIds(3));
    for (int64_t row = 0; row < 3; ++row) {
      const torch::Tensor pooled = output.last_hidden_state[row][5 + row];
      EXPECT_LE(RelativeL2(output.text_embeds[row], at::matmul(model.text_projection->weight, pooled)), 1e-6)
          << "row " << row << ", eos_token_id " << eos_token_id;
    }
  }
}

TEST(ClipTextModelTest, LaterTokensDoNotReachEarlierOnes) {
  ClipTextModelWithProjection model(TinyText());
  RandomizeParameters(model, 1);
  const torch::Tensor ids = TokenIds(1);
  torch::Tensor changed = ids.clone();
  changed[0].narrow(0, 20, 57).fill_(3);
  const torch::Tensor before = model.forward(ids).last_hidden_state;
  const torch::Tensor after = model.forward(changed).last_hidden_state;
  EXPECT_LE(RelativeL2(after.narrow(1, 0, 20), before.narrow(1, 0, 20)), 1e-6);
  EXPECT_GT(RelativeL2(after.narrow(1, 20, 57), before.narrow(1, 20, 57)), 1e-2);
}

TEST(ClipTextModelTest, RowsAreIndependent) {
  ClipTextModelWithProjection model(TinyText());
  RandomizeParameters(model, 1);
  const torch::Tensor ids = TokenIds(3);
  const ClipTextOutput together = model.forward(ids);
  for (int64_t row = 0; row < 3; ++row) {
    const ClipTextOutput alone = model.forward(ids.narrow(0, row, 1));
    EXPECT_LE(RelativeL2(alone.last_hidden_state[0], together.last_hidden_state[row]), 1e-6);
    EXPECT_LE(RelativeL2(alone.text_embeds[0], together.text_embeds[row]), 1e-6);
  }
}

TEST(ClipTextModelTest, TheTwoActivationsDiffer) {
  ClipTextConfig config = TinyText();
  ClipTextModelWithProjection exact(config);
  config.hidden_act = "quick_gelu";
  ClipTextModelWithProjection quick(config);
  RandomizeParameters(exact, 1);
  RandomizeParameters(quick, 1);
  EXPECT_GT(RelativeL2(quick.forward(TokenIds(1)).text_embeds, exact.forward(TokenIds(1)).text_embeds), 1e-4);
}

TEST(ClipVisionModelTest, RowsAreIndependent) {
  ClipVisionModelWithProjection model(TinyVision());
  RandomizeParameters(model, 1);
  const torch::Tensor pixels = RandomTensor({3, 3, 28, 28}, 2);
  const torch::Tensor together = model.forward(pixels);
  EXPECT_EQ(together.sizes(), (at::IntArrayRef{3, 10}));
  for (int64_t row = 0; row < 3; ++row) {
    EXPECT_LE(RelativeL2(model.forward(pixels.narrow(0, row, 1))[0], together[row]), 1e-6);
  }
}

TEST(ClipVisionModelTest, EveryPixelReachesTheEmbedding) {
  ClipVisionModelWithProjection model(TinyVision());
  RandomizeParameters(model, 1);
  torch::Tensor pixels = RandomTensor({1, 3, 28, 28}, 2).requires_grad_(true);
  model.forward(pixels).square().sum().backward();
  EXPECT_TRUE(pixels.grad().ne(0).all().item<bool>());
}

TEST(ClipVisionModelTest, GradientReachesEveryParameter) {
  ClipVisionModelWithProjection model(TinyVision());
  RandomizeParameters(model, 1);
  testing::RequireGradients(model);
  model.forward(RandomTensor({2, 3, 28, 28}, 2)).square().sum().backward();
  for (const std::string& name : testing::ParametersWithoutGradient(model)) {
    // A bias of the keys shifts all scores of a query alike, which softmax does not see.
    EXPECT_TRUE(name.ends_with("k_proj.bias")) << name;
  }
}

}  // namespace
}  // namespace kandinsky
