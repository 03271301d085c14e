#pragma once

#include <torch/nn/module.h>
#include <torch/types.h>

#include <cstdint>
#include <memory>
#include <string>

#include "absl/status/status.h"
#include "pipeline/models/clip_encoder.h"
#include "pipeline/models/layers.h"

namespace kandinsky {

// Published JSON names. Defaults are those of transformers, whose files leave out values that equal them.
struct ClipTextConfig {
  int64_t vocab_size = 49408;
  int64_t hidden_size = 512;
  int64_t intermediate_size = 2048;
  int64_t projection_dim = 512;
  int64_t num_hidden_layers = 12;
  int64_t num_attention_heads = 8;
  int64_t max_position_embeddings = 77;
  std::string hidden_act = "quick_gelu";
  double layer_norm_eps = 1e-5;
  // 2 is a leftover of old files and means "the largest id of the row ends the text".
  int64_t eos_token_id = 49407;

  // INVALID_ARGUMENT naming the key and the value that is not supported.
  absl::Status Validate() const;
};

struct ClipTextOutput {
  torch::Tensor last_hidden_state;  // [B, T, hidden_size], after the final norm
  torch::Tensor text_embeds;        // [B, projection_dim], not normalized
};

// CLIP text tower with projection ("CLIPTextModelWithProjection" of transformers). The mask is causal only:
// padding is never masked, as in every published Kandinsky pipeline.
class ClipTextModelWithProjection : public torch::nn::Module {
 public:
  // `config` passes Validate().
  explicit ClipTextModelWithProjection(const ClipTextConfig& config);

  // input_ids int64 [B, T], T <= max_position_embeddings.
  ClipTextOutput forward(const torch::Tensor& input_ids) const;

  std::shared_ptr<torch::nn::Module> text_model;
  std::shared_ptr<torch::nn::Module> embeddings;
  std::shared_ptr<Embedding> token_embedding;
  std::shared_ptr<Embedding> position_embedding;
  std::shared_ptr<ClipEncoder> encoder;
  std::shared_ptr<LayerNorm> final_layer_norm;
  std::shared_ptr<Linear> text_projection;

 private:
  // Position of the first end-of-text token of each row, int64 [B].
  torch::Tensor EndOfText(const torch::Tensor& input_ids) const;

  const int64_t eos_token_id_;
};

}  // namespace kandinsky
