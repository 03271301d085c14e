#pragma once

#include <torch/nn/module.h>
#include <torch/types.h>

#include <cstdint>
#include <memory>
#include <string>

#include "absl/status/status.h"
#include "absl/strings/string_view.h"
#include "pipeline/models/layers.h"

namespace kandinsky {

// What the text and the vision tower have in common; field names as in the published config.json.
struct ClipEncoderOptions {
  int64_t hidden_size = 0;
  int64_t intermediate_size = 0;
  int64_t num_hidden_layers = 0;
  int64_t num_attention_heads = 0;
  std::string hidden_act;  // "gelu" (exact) or "quick_gelu"
  double layer_norm_eps = 0;
};

// INVALID_ARGUMENT naming `model`, the key and the value that is not supported.
absl::Status ValidateClipEncoder(absl::string_view model, const ClipEncoderOptions& options);

// Multi-head self-attention of one layer ("CLIPAttention").
class ClipAttention : public torch::nn::Module {
 public:
  ClipAttention(int64_t hidden_size, int64_t heads);

  // x [B, T, hidden_size], bias as in Attention -> [B, T, hidden_size].
  torch::Tensor forward(const torch::Tensor& x, const torch::Tensor& bias) const;

  std::shared_ptr<Linear> k_proj;
  std::shared_ptr<Linear> v_proj;
  std::shared_ptr<Linear> q_proj;
  std::shared_ptr<Linear> out_proj;

 private:
  const int64_t heads_;
};

// One pre-norm transformer layer ("CLIPEncoderLayer").
class ClipEncoderLayer : public torch::nn::Module {
 public:
  explicit ClipEncoderLayer(const ClipEncoderOptions& options);

  // x [B, T, hidden_size], bias as in Attention -> [B, T, hidden_size].
  torch::Tensor forward(const torch::Tensor& x, const torch::Tensor& bias) const;

  std::shared_ptr<ClipAttention> self_attn;
  std::shared_ptr<LayerNorm> layer_norm1;
  std::shared_ptr<torch::nn::Module> mlp;
  std::shared_ptr<Linear> fc1;
  std::shared_ptr<Linear> fc2;
  std::shared_ptr<LayerNorm> layer_norm2;

 private:
  const bool quick_gelu_;
};

// The stack of layers ("CLIPEncoder").
class ClipEncoder : public torch::nn::Module {
 public:
  explicit ClipEncoder(const ClipEncoderOptions& options);

  // x [B, T, hidden_size]; `bias` as in Attention, undefined for none -> [B, T, hidden_size].
  torch::Tensor forward(torch::Tensor x, const torch::Tensor& bias = {}) const;

  std::shared_ptr<TypedModuleList<ClipEncoderLayer>> layers;
};

}  // namespace kandinsky
