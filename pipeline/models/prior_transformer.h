#pragma once

#include <torch/nn/module.h>
#include <torch/types.h>

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/types/span.h"
#include "pipeline/models/layers.h"
#include "pipeline/models/timestep_embedding.h"

namespace kandinsky {

// Published JSON names; defaults are those of diffusers. "" stands for null.
struct PriorTransformerConfig {
  int64_t num_attention_heads = 32;
  int64_t attention_head_dim = 64;
  int64_t num_layers = 20;
  int64_t embedding_dim = 768;  // width of image embedding, text embedding and text tokens
  int64_t num_embeddings = 77;  // text tokens
  int64_t additional_embeddings = 4;
  std::string time_embed_act_fn = "silu";
  std::string norm_in_type;
  std::string embedding_proj_norm_type;
  std::string encoder_hid_proj_type = "linear";
  std::string added_emb_type = "prd";

  // INVALID_ARGUMENT naming the key and the value that is not supported.
  absl::Status Validate() const;
};

// What the text part of the sequence contributes to every step: exact, because the mask is causal and the
// text comes first. Rows are independent of each other.
struct PriorPrefix {
  std::vector<torch::Tensor> keys;    // per block [B, heads, num_embeddings + 1, attention_head_dim]
  std::vector<torch::Tensor> values;  // as keys
  torch::Tensor bias;                 // [B, 1, 3, num_embeddings + 4], additive, for the three later queries
};

// Rows `begin` .. begin + count - 1 of `prefix`, as views.
PriorPrefix SelectPrefixRows(const PriorPrefix& prefix, int64_t begin, int64_t count);

// All rows of `prefixes` (at least one) in order.
PriorPrefix ConcatenatePrefixes(absl::Span<const PriorPrefix* const> prefixes);

// Self-attention with the published names of diffusers' "Attention".
class PriorAttention : public torch::nn::Module {
 public:
  PriorAttention(int64_t heads, int64_t head_dim);

  std::shared_ptr<Linear> to_q;
  std::shared_ptr<Linear> to_k;
  std::shared_ptr<Linear> to_v;
  std::shared_ptr<TypedModuleList<Linear>> to_out;
};

// One pre-norm transformer block ("BasicTransformerBlock"; it has no norm2).
class PriorTransformerBlock : public torch::nn::Module {
 public:
  struct KeyValue {
    torch::Tensor key;    // [B, heads, T, head_dim]
    torch::Tensor value;  // as key
  };

  PriorTransformerBlock(int64_t heads, int64_t head_dim);

  // Keys and values of x [B, T, W].
  KeyValue KeysAndValues(const torch::Tensor& x) const;
  // x [B, T, W] attends to all tokens of `context` -> [B, T, W].
  torch::Tensor forward(const torch::Tensor& x, const KeyValue& context, const torch::Tensor& bias) const;

  std::shared_ptr<LayerNorm> norm1;
  std::shared_ptr<PriorAttention> attn1;
  std::shared_ptr<LayerNorm> norm3;
  std::shared_ptr<torch::nn::Module> ff;
  std::shared_ptr<torch::nn::Module> net;
  std::shared_ptr<torch::nn::Module> gelu;  // "0", holds proj
  std::shared_ptr<Linear> proj;
  std::shared_ptr<Linear> ff_out;  // "2"

 private:
  const int64_t heads_;
};

// The diffusion prior ("PriorTransformer"): predicts the clean, normalized CLIP image embedding.
class PriorTransformer : public torch::nn::Module {
 public:
  // `config` passes Validate().
  explicit PriorTransformer(const PriorTransformerConfig& config);

  // Once per request. text_embeds [B, E], text_hidden [B, num_embeddings, E], mask bool [B, num_embeddings]
  // (true: real token).
  PriorPrefix encode_prefix(const torch::Tensor& text_embeds, const torch::Tensor& text_hidden,
                            const torch::Tensor& mask) const;

  // Once per step: noisy normalized embedding x [B, E], timesteps [B] (one per row) -> [B, E].
  torch::Tensor forward_suffix(const torch::Tensor& x, const torch::Tensor& timesteps,
                               const PriorPrefix& prefix) const;

  // The whole sequence at once, as diffusers computes it; for training and as the reference of the split.
  torch::Tensor forward(const torch::Tensor& x, const torch::Tensor& timesteps,
                        const torch::Tensor& text_embeds, const torch::Tensor& text_hidden,
                        const torch::Tensor& mask) const;

  torch::Tensor positional_embedding;  // [1, num_embeddings + 4, W]
  torch::Tensor prd_embedding;         // [1, 1, W]
  torch::Tensor clip_mean;             // [1, E]; embedding = x * clip_std + clip_mean
  torch::Tensor clip_std;              // [1, E]
  std::shared_ptr<TimestepEmbedding> time_embedding;
  std::shared_ptr<Linear> proj_in;
  std::shared_ptr<Linear> embedding_proj;
  std::shared_ptr<Linear> encoder_hidden_states_proj;
  std::shared_ptr<TypedModuleList<PriorTransformerBlock>> transformer_blocks;
  std::shared_ptr<LayerNorm> norm_out;
  std::shared_ptr<Linear> proj_to_clip_embeddings;

 private:
  torch::Tensor PrefixTokens(const torch::Tensor& text_embeds, const torch::Tensor& text_hidden) const;
  torch::Tensor SuffixTokens(const torch::Tensor& x, const torch::Tensor& timesteps) const;
  torch::Tensor AttentionBias(const torch::Tensor& mask) const;
  torch::Tensor PredictFromLastToken(const torch::Tensor& hidden) const;

  const int64_t prefix_length_;
  const int64_t sequence_length_;
  const int64_t inner_dim_;
};

}  // namespace kandinsky
