#include "pipeline/models/clip_encoder.h"

#include "pipeline/models/attention.h"
#include "pipeline/models/config_check.h"

namespace kandinsky {

absl::Status ValidateClipEncoder(absl::string_view model, const ClipEncoderOptions& options) {
  return ConfigCheck(model)
      .Size("hidden_size", options.hidden_size)
      .Size("intermediate_size", options.intermediate_size)
      .InRange("num_hidden_layers", options.num_hidden_layers, 1, 1024)
      .Size("num_attention_heads", options.num_attention_heads)
      .MultipleOf("hidden_size", options.hidden_size, "num_attention_heads", options.num_attention_heads)
      .OneOf("hidden_act", options.hidden_act, {"gelu", "quick_gelu"})
      .Epsilon("layer_norm_eps", options.layer_norm_eps)
      .status();
}

ClipAttention::ClipAttention(int64_t hidden_size, int64_t heads)
    : k_proj(register_module("k_proj", std::make_shared<Linear>(hidden_size, hidden_size))),
      v_proj(register_module("v_proj", std::make_shared<Linear>(hidden_size, hidden_size))),
      q_proj(register_module("q_proj", std::make_shared<Linear>(hidden_size, hidden_size))),
      out_proj(register_module("out_proj", std::make_shared<Linear>(hidden_size, hidden_size))),
      heads_(heads) {}

torch::Tensor ClipAttention::forward(const torch::Tensor& x, const torch::Tensor& bias) const {
  const torch::Tensor query = SplitHeads(q_proj->forward(x), heads_);
  const torch::Tensor key = SplitHeads(k_proj->forward(x), heads_);
  const torch::Tensor value = SplitHeads(v_proj->forward(x), heads_);
  return out_proj->forward(MergeHeads(Attention(query, key, value, bias)));
}

ClipEncoderLayer::ClipEncoderLayer(const ClipEncoderOptions& options)
    : self_attn(register_module(
          "self_attn", std::make_shared<ClipAttention>(options.hidden_size, options.num_attention_heads))),
      layer_norm1(register_module("layer_norm1",
                                  std::make_shared<LayerNorm>(options.hidden_size, options.layer_norm_eps))),
      mlp(register_module("mlp", std::make_shared<torch::nn::Module>())),
      fc1(mlp->register_module("fc1",
                               std::make_shared<Linear>(options.hidden_size, options.intermediate_size))),
      fc2(mlp->register_module("fc2",
                               std::make_shared<Linear>(options.intermediate_size, options.hidden_size))),
      layer_norm2(register_module("layer_norm2",
                                  std::make_shared<LayerNorm>(options.hidden_size, options.layer_norm_eps))),
      quick_gelu_(options.hidden_act == "quick_gelu") {}

torch::Tensor ClipEncoderLayer::forward(const torch::Tensor& x, const torch::Tensor& bias) const {
  const torch::Tensor attended = x + self_attn->forward(layer_norm1->forward(x), bias);
  const torch::Tensor wide = fc1->forward(layer_norm2->forward(attended));
  return attended + fc2->forward(quick_gelu_ ? QuickGeluOf(wide) : GeluOf(wide));
}

ClipEncoder::ClipEncoder(const ClipEncoderOptions& options)
    : layers(register_module("layers", std::make_shared<TypedModuleList<ClipEncoderLayer>>())) {
  for (int64_t i = 0; i < options.num_hidden_layers; ++i) {
    layers->push_back(std::make_shared<ClipEncoderLayer>(options));
  }
}

torch::Tensor ClipEncoder::forward(torch::Tensor x, const torch::Tensor& bias) const {
  for (const auto& layer : *layers) x = layer->forward(x, bias);
  return x;
}

}  // namespace kandinsky
