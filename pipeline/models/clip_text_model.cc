#include "pipeline/models/clip_text_model.h"

#include <limits>

#include "base/status_macros.h"
#include "pipeline/models/attention.h"
#include "pipeline/models/config_check.h"

namespace kandinsky {
namespace {

constexpr int64_t kLegacyEosTokenId = 2;

ClipEncoderOptions EncoderOptions(const ClipTextConfig& config) {
  return {.hidden_size = config.hidden_size,
          .intermediate_size = config.intermediate_size,
          .num_hidden_layers = config.num_hidden_layers,
          .num_attention_heads = config.num_attention_heads,
          .hidden_act = config.hidden_act,
          .layer_norm_eps = config.layer_norm_eps};
}

}  // namespace

absl::Status ClipTextConfig::Validate() const {
  RETURN_IF_ERROR(ValidateClipEncoder("CLIPTextModelWithProjection", EncoderOptions(*this)));
  return ConfigCheck("CLIPTextModelWithProjection")
      .Size("vocab_size", vocab_size)
      .Size("projection_dim", projection_dim)
      .Size("max_position_embeddings", max_position_embeddings)
      .InRange("eos_token_id", eos_token_id, 0, std::numeric_limits<int32_t>::max())
      .status();
}

ClipTextModelWithProjection::ClipTextModelWithProjection(const ClipTextConfig& config)
    : text_model(register_module("text_model", std::make_shared<torch::nn::Module>())),
      embeddings(text_model->register_module("embeddings", std::make_shared<torch::nn::Module>())),
      token_embedding(embeddings->register_module(
          "token_embedding", std::make_shared<Embedding>(config.vocab_size, config.hidden_size))),
      position_embedding(embeddings->register_module(
          "position_embedding",
          std::make_shared<Embedding>(config.max_position_embeddings, config.hidden_size))),
      encoder(text_model->register_module("encoder", std::make_shared<ClipEncoder>(EncoderOptions(config)))),
      final_layer_norm(text_model->register_module(
          "final_layer_norm", std::make_shared<LayerNorm>(config.hidden_size, config.layer_norm_eps))),
      text_projection(register_module("text_projection",
                                      std::make_shared<Linear>(config.hidden_size, config.projection_dim,
                                                               /*with_bias=*/false))),
      eos_token_id_(config.eos_token_id) {}

ClipTextOutput ClipTextModelWithProjection::forward(const torch::Tensor& input_ids) const {
  const int64_t length = input_ids.size(1);
  const torch::Tensor tokens =
      token_embedding->forward(input_ids) + position_embedding->weight.narrow(0, 0, length);
  const torch::Tensor causal = CausalBias(length, -std::numeric_limits<double>::infinity(), tokens);
  ClipTextOutput output;
  output.last_hidden_state = final_layer_norm->forward(encoder->forward(tokens, causal));
  const torch::Tensor rows = at::arange(input_ids.size(0), input_ids.options());
  const torch::Tensor pooled = output.last_hidden_state.index({rows, EndOfText(input_ids)});
  output.text_embeds = text_projection->forward(pooled);
  return output;
}

torch::Tensor ClipTextModelWithProjection::EndOfText(const torch::Tensor& input_ids) const {
  // argmax returns the first of several equal values.
  if (eos_token_id_ == kLegacyEosTokenId) return input_ids.argmax(1);
  return input_ids.eq(eos_token_id_).to(at::kInt).argmax(1);
}

}  // namespace kandinsky
