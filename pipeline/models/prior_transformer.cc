#include "pipeline/models/prior_transformer.h"

#include "pipeline/models/attention.h"
#include "pipeline/models/config_check.h"

namespace kandinsky {
namespace {

// diffusers adds this instead of minus infinity; a padded key above the diagonal gets it twice.
constexpr double kBlocked = -10000.0;
// Text embedding, time, noisy image embedding, learned final token.
constexpr int64_t kAdditionalTokens = 4;
constexpr int64_t kFeedForwardFactor = 4;

torch::Tensor NewParameter(at::IntArrayRef shape) { return torch::empty(shape); }

}  // namespace

absl::Status PriorTransformerConfig::Validate() const {
  return ConfigCheck("PriorTransformer")
      .InRange("num_attention_heads", num_attention_heads, 1, 1024)
      .InRange("attention_head_dim", attention_head_dim, 1, 1024)
      .MultipleOf("num_attention_heads * attention_head_dim", num_attention_heads * attention_head_dim,
                  "pairs of time features", 2)
      .InRange("num_layers", num_layers, 1, 1024)
      .Size("embedding_dim", embedding_dim)
      .InRange("num_embeddings", num_embeddings, 1, 4096)
      .InRange("additional_embeddings", additional_embeddings, kAdditionalTokens, kAdditionalTokens)
      .OneOf("time_embed_act_fn", time_embed_act_fn, {"silu"})
      .OneOf("norm_in_type", norm_in_type, {""})
      .OneOf("embedding_proj_norm_type", embedding_proj_norm_type, {""})
      .OneOf("encoder_hid_proj_type", encoder_hid_proj_type, {"linear"})
      .OneOf("added_emb_type", added_emb_type, {"prd"})
      .status();
}

PriorPrefix SelectPrefixRows(const PriorPrefix& prefix, int64_t begin, int64_t count) {
  PriorPrefix selected;
  for (const torch::Tensor& key : prefix.keys) selected.keys.push_back(key.narrow(0, begin, count));
  for (const torch::Tensor& value : prefix.values) selected.values.push_back(value.narrow(0, begin, count));
  selected.bias = prefix.bias.narrow(0, begin, count);
  return selected;
}

PriorPrefix ConcatenatePrefixes(absl::Span<const PriorPrefix* const> prefixes) {
  if (prefixes.size() == 1) return *prefixes[0];
  const auto concatenate = [&](const auto& tensor_of) {
    std::vector<torch::Tensor> rows;
    for (const PriorPrefix* prefix : prefixes) rows.push_back(tensor_of(*prefix));
    return at::cat(rows, 0);
  };
  PriorPrefix all;
  for (size_t block = 0; block < prefixes[0]->keys.size(); ++block) {
    all.keys.push_back(concatenate([block](const PriorPrefix& prefix) { return prefix.keys[block]; }));
    all.values.push_back(concatenate([block](const PriorPrefix& prefix) { return prefix.values[block]; }));
  }
  all.bias = concatenate([](const PriorPrefix& prefix) { return prefix.bias; });
  return all;
}

PriorAttention::PriorAttention(int64_t heads, int64_t head_dim)
    : to_q(register_module("to_q", std::make_shared<Linear>(heads * head_dim, heads * head_dim))),
      to_k(register_module("to_k", std::make_shared<Linear>(heads * head_dim, heads * head_dim))),
      to_v(register_module("to_v", std::make_shared<Linear>(heads * head_dim, heads * head_dim))),
      to_out(register_module("to_out", std::make_shared<TypedModuleList<Linear>>())) {
  to_out->push_back(std::make_shared<Linear>(heads * head_dim, heads * head_dim));
}

PriorTransformerBlock::PriorTransformerBlock(int64_t heads, int64_t head_dim)
    : norm1(register_module("norm1", std::make_shared<LayerNorm>(heads * head_dim))),
      attn1(register_module("attn1", std::make_shared<PriorAttention>(heads, head_dim))),
      norm3(register_module("norm3", std::make_shared<LayerNorm>(heads * head_dim))),
      ff(register_module("ff", std::make_shared<torch::nn::Module>())),
      net(ff->register_module("net", std::make_shared<torch::nn::Module>())),
      gelu(net->register_module("0", std::make_shared<torch::nn::Module>())),
      proj(gelu->register_module(
          "proj", std::make_shared<Linear>(heads * head_dim, kFeedForwardFactor * heads * head_dim))),
      ff_out(net->register_module(
          "2", std::make_shared<Linear>(kFeedForwardFactor * heads * head_dim, heads * head_dim))),
      heads_(heads) {}

PriorTransformerBlock::KeyValue PriorTransformerBlock::KeysAndValues(const torch::Tensor& x) const {
  const torch::Tensor normalized = norm1->forward(x);
  return {SplitHeads(attn1->to_k->forward(normalized), heads_),
          SplitHeads(attn1->to_v->forward(normalized), heads_)};
}

torch::Tensor PriorTransformerBlock::forward(const torch::Tensor& x, const KeyValue& context,
                                             const torch::Tensor& bias) const {
  const torch::Tensor query = SplitHeads(attn1->to_q->forward(norm1->forward(x)), heads_);
  const torch::Tensor mixed = MergeHeads(Attention(query, context.key, context.value, bias));
  const torch::Tensor attended = (*attn1->to_out)[0].forward(mixed) + x;
  return ff_out->forward(GeluOf(proj->forward(norm3->forward(attended)))) + attended;
}

PriorTransformer::PriorTransformer(const PriorTransformerConfig& config)
    : prefix_length_(config.num_embeddings + 1),
      sequence_length_(config.num_embeddings + config.additional_embeddings),
      inner_dim_(config.num_attention_heads * config.attention_head_dim) {
  const int64_t embedding_dim = config.embedding_dim;
  positional_embedding =
      register_parameter("positional_embedding", NewParameter({1, sequence_length_, inner_dim_}), false);
  prd_embedding = register_parameter("prd_embedding", NewParameter({1, 1, inner_dim_}), false);
  clip_mean = register_parameter("clip_mean", NewParameter({1, embedding_dim}), false);
  clip_std = register_parameter("clip_std", NewParameter({1, embedding_dim}), false);
  time_embedding =
      register_module("time_embedding", std::make_shared<TimestepEmbedding>(inner_dim_, inner_dim_));
  proj_in = register_module("proj_in", std::make_shared<Linear>(embedding_dim, inner_dim_));
  embedding_proj = register_module("embedding_proj", std::make_shared<Linear>(embedding_dim, inner_dim_));
  encoder_hidden_states_proj =
      register_module("encoder_hidden_states_proj", std::make_shared<Linear>(embedding_dim, inner_dim_));
  transformer_blocks =
      register_module("transformer_blocks", std::make_shared<TypedModuleList<PriorTransformerBlock>>());
  for (int64_t i = 0; i < config.num_layers; ++i) {
    transformer_blocks->push_back(
        std::make_shared<PriorTransformerBlock>(config.num_attention_heads, config.attention_head_dim));
  }
  norm_out = register_module("norm_out", std::make_shared<LayerNorm>(inner_dim_));
  proj_to_clip_embeddings =
      register_module("proj_to_clip_embeddings", std::make_shared<Linear>(inner_dim_, embedding_dim));
}

PriorPrefix PriorTransformer::encode_prefix(const torch::Tensor& text_embeds,
                                            const torch::Tensor& text_hidden,
                                            const torch::Tensor& mask) const {
  const torch::Tensor bias = AttentionBias(mask);
  const torch::Tensor prefix_bias = bias.narrow(2, 0, prefix_length_).narrow(3, 0, prefix_length_);
  PriorPrefix prefix;
  prefix.bias = bias.narrow(2, prefix_length_, sequence_length_ - prefix_length_);
  torch::Tensor hidden = PrefixTokens(text_embeds, text_hidden);
  for (const auto& block : *transformer_blocks) {
    const auto context = block->KeysAndValues(hidden);
    prefix.keys.push_back(context.key);
    prefix.values.push_back(context.value);
    // Nobody reads the prefix after the last block's keys and values.
    if (prefix.keys.size() < transformer_blocks->size())
      hidden = block->forward(hidden, context, prefix_bias);
  }
  return prefix;
}

torch::Tensor PriorTransformer::forward_suffix(const torch::Tensor& x, const torch::Tensor& timesteps,
                                               const PriorPrefix& prefix) const {
  torch::Tensor hidden = SuffixTokens(x, timesteps);
  for (size_t i = 0; i < transformer_blocks->size(); ++i) {
    const PriorTransformerBlock& block = (*transformer_blocks)[i];
    const auto own = block.KeysAndValues(hidden);
    const PriorTransformerBlock::KeyValue context{at::cat({prefix.keys[i], own.key}, 2),
                                                  at::cat({prefix.values[i], own.value}, 2)};
    hidden = block.forward(hidden, context, prefix.bias);
  }
  return PredictFromLastToken(hidden);
}

torch::Tensor PriorTransformer::forward(const torch::Tensor& x, const torch::Tensor& timesteps,
                                        const torch::Tensor& text_embeds, const torch::Tensor& text_hidden,
                                        const torch::Tensor& mask) const {
  const torch::Tensor bias = AttentionBias(mask);
  torch::Tensor hidden = at::cat({PrefixTokens(text_embeds, text_hidden), SuffixTokens(x, timesteps)}, 1);
  for (const auto& block : *transformer_blocks) {
    hidden = block->forward(hidden, block->KeysAndValues(hidden), bias);
  }
  return PredictFromLastToken(hidden);
}

// [B, num_embeddings + 1, W]: text tokens, text embedding.
torch::Tensor PriorTransformer::PrefixTokens(const torch::Tensor& text_embeds,
                                             const torch::Tensor& text_hidden) const {
  const torch::Tensor tokens = encoder_hidden_states_proj->forward(text_hidden);
  const torch::Tensor embedding = embedding_proj->forward(text_embeds).unsqueeze(1);
  return at::cat({tokens, embedding}, 1) + positional_embedding.narrow(1, 0, prefix_length_);
}

// [B, 3, W]: time, noisy image embedding, learned final token.
torch::Tensor PriorTransformer::SuffixTokens(const torch::Tensor& x, const torch::Tensor& timesteps) const {
  const torch::Tensor features = TimestepFeatures(timesteps, {.channels = inner_dim_});
  const torch::Tensor time = time_embedding->forward(features).unsqueeze(1);
  const torch::Tensor noisy = proj_in->forward(x).unsqueeze(1);
  const torch::Tensor last = prd_embedding.to(x.scalar_type()).expand({x.size(0), -1, -1});
  return at::cat({time, noisy, last}, 1) +
         positional_embedding.narrow(1, prefix_length_, sequence_length_ - prefix_length_);
}

// [B, 1, sequence, sequence]: causal, plus blocked padding keys; the tokens after the text are never padding.
torch::Tensor PriorTransformer::AttentionBias(const torch::Tensor& mask) const {
  const torch::Tensor real = mask.to(positional_embedding.options());
  const torch::Tensor padding =
      at::constant_pad_nd((1 - real) * kBlocked, {0, sequence_length_ - real.size(1)});
  const torch::Tensor causal = CausalBias(sequence_length_, kBlocked, positional_embedding);
  return (padding.unsqueeze(1) + causal).unsqueeze(1);
}

torch::Tensor PriorTransformer::PredictFromLastToken(const torch::Tensor& hidden) const {
  return proj_to_clip_embeddings->forward(norm_out->forward(hidden.select(1, hidden.size(1) - 1)));
}

}  // namespace kandinsky
