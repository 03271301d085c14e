#include <ATen/ATen.h>

#include <utility>
#include <vector>

#include "pipeline/components/published_networks.h"
#include "pipeline/diffusion/input_tensors.h"

namespace kandinsky {
namespace {

class ClipTextEncoder final : public TextEncoder {
 public:
  ClipTextEncoder(std::shared_ptr<const ClipTokenizer> tokenizer,
                  std::shared_ptr<const ClipTextModelWithProjection> tower, const Placement& placement)
      : tokenizer_(std::move(tokenizer)), tower_(std::move(tower)), placement_(placement) {}

  TextTokens Tokenize(const std::string& text) const override { return tokenizer_->Encode(text); }

  TextFeatures Encode(absl::Span<const TextTokens* const> texts) const override {
    std::vector<torch::Tensor> ids;
    std::vector<torch::Tensor> masks;
    for (const TextTokens* text : texts) {
      ids.push_back(placement_.Ids(text->ids));
      masks.push_back(placement_.Mask(text->mask));
    }
    ClipTextOutput output = tower_->forward(torch::stack(ids));
    return {std::move(output.text_embeds), std::move(output.last_hidden_state), torch::stack(masks)};
  }

 private:
  const std::shared_ptr<const ClipTokenizer> tokenizer_;
  const std::shared_ptr<const ClipTextModelWithProjection> tower_;
  const Placement placement_;
};

class ClipImageEncoder final : public ImageEncoder {
 public:
  ClipImageEncoder(std::shared_ptr<const ClipVisionModelWithProjection> tower,
                   const ClipProcessorConfig& processor, const Placement& placement)
      : tower_(std::move(tower)),
        mean_(Placement().Floats(processor.image_mean, {3})),
        std_(Placement().Floats(processor.image_std, {3})),
        placement_(placement) {}

  torch::Tensor Embed(absl::Span<const Image* const> images) const override {
    std::vector<torch::Tensor> pixels;
    for (const Image* image : images) pixels.push_back(ToClipPixels(*image, mean_, std_));
    return tower_->forward(placement_.ForNetwork(torch::cat(pixels))).to(torch::kFloat);
  }

 private:
  const std::shared_ptr<const ClipVisionModelWithProjection> tower_;
  const torch::Tensor mean_;  // [3], on the host
  const torch::Tensor std_;   // [3], on the host
  const Placement placement_;
};

// The prior's keys and values of every token that depends neither on the time-step nor on the noisy
// embedding.
class PrefixText final : public PriorText {
 public:
  explicit PrefixText(PriorPrefix prefix) : prefix_(std::move(prefix)) {}

  const PriorPrefix& prefix() const { return prefix_; }

  size_t bytes() const override {
    size_t total = prefix_.bias.nbytes();
    for (const torch::Tensor& tensor : prefix_.keys) total += tensor.nbytes();
    for (const torch::Tensor& tensor : prefix_.values) total += tensor.nbytes();
    return total;
  }

 private:
  const PriorPrefix prefix_;  // one row
};

PriorPrefix CopyRow(const PriorPrefix& prefix, int64_t row) {
  PriorPrefix view = SelectPrefixRows(prefix, row, 1);
  for (torch::Tensor& keys : view.keys) keys = keys.clone();
  for (torch::Tensor& values : view.values) values = values.clone();
  view.bias = view.bias.clone();
  return view;
}

class TransformerPrior final : public Prior {
 public:
  TransformerPrior(std::shared_ptr<const PriorTransformer> transformer, const Placement& placement)
      : transformer_(std::move(transformer)), placement_(placement) {}

  int64_t width() const override { return transformer_->clip_mean.size(1); }

  std::vector<std::shared_ptr<const PriorText>> Prepare(const TextFeatures& texts) const override {
    const PriorPrefix prefix = transformer_->encode_prefix(texts.pooled, texts.hidden_states, texts.mask);
    std::vector<std::shared_ptr<const PriorText>> rows;
    for (int64_t row = 0; row < texts.pooled.size(0); ++row) {
      rows.push_back(std::make_shared<const PrefixText>(CopyRow(prefix, row)));
    }
    return rows;
  }

  torch::Tensor Predict(const torch::Tensor& noisy, absl::Span<const float> timesteps,
                        absl::Span<const PriorText* const> texts) const override {
    std::vector<const PriorPrefix*> prefixes;
    for (const PriorText* text : texts) {
      prefixes.push_back(&static_cast<const PrefixText*>(text)->prefix());
    }
    const torch::Tensor times = placement_.Floats(timesteps, {static_cast<int64_t>(timesteps.size())});
    return transformer_->forward_suffix(placement_.ForNetwork(noisy), times, ConcatenatePrefixes(prefixes))
        .to(torch::kFloat);
  }

  torch::Tensor ToEmbeddings(const torch::Tensor& rows) const override {
    return rows * transformer_->clip_std + transformer_->clip_mean;
  }

 private:
  const std::shared_ptr<const PriorTransformer> transformer_;
  const Placement placement_;
};

}  // namespace

std::shared_ptr<const TextEncoder> MakeTextEncoder(std::shared_ptr<const ClipTokenizer> tokenizer,
                                                   std::shared_ptr<const ClipTextModelWithProjection> tower,
                                                   const Placement& placement) {
  return std::make_shared<ClipTextEncoder>(std::move(tokenizer), std::move(tower), placement);
}

std::shared_ptr<const ImageEncoder> MakeImageEncoder(
    std::shared_ptr<const ClipVisionModelWithProjection> tower, const ClipProcessorConfig& processor,
    const Placement& placement) {
  return std::make_shared<ClipImageEncoder>(std::move(tower), processor, placement);
}

std::shared_ptr<const Prior> MakePrior(std::shared_ptr<const PriorTransformer> transformer,
                                       const Placement& placement) {
  return std::make_shared<TransformerPrior>(std::move(transformer), placement);
}

}  // namespace kandinsky
