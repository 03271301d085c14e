#include <map>
#include <string>
#include <utility>
#include <vector>

#include "pipeline/kandinsky/stages.h"

namespace kandinsky {
namespace {

// The token ids decide everything: padding repeats the end token, and the mask follows from the length.
std::string CacheKey(const ClipTokenizer::Tokens& tokens) {
  std::string key(reinterpret_cast<const char*>(tokens.ids.data()), tokens.ids.size() * sizeof(int64_t));
  key.append(reinterpret_cast<const char*>(tokens.mask.data()), tokens.mask.size());
  return key;
}

using TextsByKey = std::map<std::string, std::vector<RequestText*>>;

TextsByKey CollectTexts(absl::Span<KandinskyGeneration* const> batch) {
  TextsByKey texts;
  for (KandinskyGeneration* generation : batch) {
    texts[CacheKey(generation->prompt.tokens)].push_back(&generation->prompt);
    if (generation->negative) texts[CacheKey(generation->negative->tokens)].push_back(&*generation->negative);
  }
  return texts;
}

// A copy, not a view: a cached text must not keep the others of its batch in memory.
EncodedText CopyRow(const PriorPrefix& prefix, int64_t row) {
  PriorPrefix view = SelectPrefixRows(prefix, row, 1);
  for (torch::Tensor& keys : view.keys) keys = keys.clone();
  for (torch::Tensor& values : view.values) values = values.clone();
  view.bias = view.bias.clone();
  return {std::move(view)};
}

// Runs the text tower and the prior's prefix once for all `tokens`; one result per entry.
std::vector<std::shared_ptr<const EncodedText>> EncodeTexts(
    const KandinskyModel& model, const std::vector<const ClipTokenizer::Tokens*>& tokens) {
  std::vector<torch::Tensor> ids;
  std::vector<torch::Tensor> masks;
  for (const ClipTokenizer::Tokens* text : tokens) {
    ids.push_back(torch::tensor(at::ArrayRef<int64_t>(text->ids)));
    masks.push_back(torch::tensor(at::ArrayRef<uint8_t>(text->mask)).to(torch::kBool));
  }
  const auto output = model.text_encoder->forward(torch::stack(ids));
  const PriorPrefix prefix =
      model.prior->encode_prefix(output.text_embeds, output.last_hidden_state, torch::stack(masks));
  std::vector<std::shared_ptr<const EncodedText>> encoded;
  for (size_t row = 0; row < tokens.size(); ++row) {
    encoded.push_back(std::make_shared<EncodedText>(CopyRow(prefix, static_cast<int64_t>(row))));
  }
  return encoded;
}

// The rows of the prior's batched pass, see PriorRow. With guidance the unconditional row comes first. A
// negative prompt's own row needs no guidance: its unconditional text is itself, so the two predictions are
// equal.
std::vector<PriorRow> PlanPriorRows(const KandinskyGeneration& generation) {
  std::vector<PriorRow> rows;
  if (generation.prior_guided()) rows.push_back({0, &*generation.negative});
  rows.push_back({0, &generation.prompt});
  if (generation.request.negative_prompt && generation.guided()) rows.push_back({1, &*generation.negative});
  return rows;
}

}  // namespace

void RunEncodeStage(const KandinskyModel& model, TextEncodingCache& cache,
                    absl::Span<KandinskyGeneration* const> batch) {
  TextsByKey texts = CollectTexts(batch);
  std::map<std::string, std::shared_ptr<const EncodedText>> encoded;
  std::vector<std::string> missing_keys;
  std::vector<const ClipTokenizer::Tokens*> missing;
  for (const auto& [key, users] : texts) {
    if (auto found = cache.Find(key)) {
      encoded[key] = std::move(found);
    } else {
      missing_keys.push_back(key);
      missing.push_back(&users.front()->tokens);
    }
  }
  if (!missing.empty()) {
    const auto fresh = EncodeTexts(model, missing);
    for (size_t i = 0; i < fresh.size(); ++i) {
      cache.Insert(missing_keys[i], fresh[i]);
      encoded[missing_keys[i]] = fresh[i];
    }
  }

  // Setting these again in a retry gives the same.
  for (auto& [key, users] : texts) {
    for (RequestText* text : users) text->encoded = encoded[key];
  }
  DrawsToKeep draws(batch);
  const int64_t embedding_dim = model.zero_image_embedding.size(1);
  std::vector<torch::Tensor> prior_latents;
  for (KandinskyGeneration* generation : batch) {
    generation->prior_rows = PlanPriorRows(*generation);
    const int64_t latent_rows = generation->request.negative_prompt ? 2 : 1;
    prior_latents.push_back(generation->DrawNoise({latent_rows, embedding_dim}));
  }

  draws.Keep();
  for (size_t i = 0; i < batch.size(); ++i) {
    batch[i]->prior_latents = std::move(prior_latents[i]);
    batch[i]->EnterStage(Stage::kPrior, "prior");
  }
}

}  // namespace kandinsky
