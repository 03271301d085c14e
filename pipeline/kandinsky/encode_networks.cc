#include "pipeline/kandinsky/encode_networks.h"

#include <map>
#include <string>
#include <utility>
#include <variant>
#include <vector>

#include "pipeline/kandinsky/input_tensors.h"

namespace kandinsky {
namespace {

// Pictures in one pass of the vision tower, for memory.
constexpr size_t kPicturesAtOnce = 8;

// Besides the prior's adapter the token ids decide everything: padding repeats the end token, and the mask
// follows from the length. Both have the same length in all texts.
std::string CacheKey(const ClipTokenizer::Tokens& tokens, const std::string& adapter) {
  std::string key(reinterpret_cast<const char*>(tokens.ids.data()), tokens.ids.size() * sizeof(int64_t));
  key.append(reinterpret_cast<const char*>(tokens.mask.data()), tokens.mask.size());
  return key + adapter;
}

bool WantsTextItself(const KandinskyGeneration& generation) {
  return std::holds_alternative<EmbedText>(generation.request.task);
}

using TextsByKey = std::map<std::string, std::vector<RequestText*>>;

// The texts whose prefix the prior needs.
TextsByKey CollectTexts(absl::Span<KandinskyGeneration* const> batch) {
  TextsByKey texts;
  for (KandinskyGeneration* generation : batch) {
    if (WantsTextItself(*generation)) continue;
    for (RequestText& text : generation->texts) {
      texts[CacheKey(text.tokens, generation->networks.prior_adapter)].push_back(&text);
    }
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

torch::Tensor Ids(const std::vector<const ClipTokenizer::Tokens*>& tokens) {
  std::vector<torch::Tensor> ids;
  ids.reserve(tokens.size());
  for (const ClipTokenizer::Tokens* text : tokens)
    ids.push_back(torch::tensor(at::ArrayRef<int64_t>(text->ids)));
  return torch::stack(ids);
}

torch::Tensor Masks(const std::vector<const ClipTokenizer::Tokens*>& tokens) {
  std::vector<torch::Tensor> masks;
  masks.reserve(tokens.size());
  for (const ClipTokenizer::Tokens* text : tokens) {
    masks.push_back(torch::tensor(at::ArrayRef<uint8_t>(text->mask)).to(torch::kBool));
  }
  return torch::stack(masks);
}

// Runs the prefix of `prior` over what the text tower made of `tokens`; one result per entry.
std::vector<std::shared_ptr<const EncodedText>> MakePrefixes(
    const PriorTransformer& prior, const std::vector<const ClipTokenizer::Tokens*>& tokens,
    const torch::Tensor& text_embeds, const torch::Tensor& hidden_states) {
  const PriorPrefix prefix = prior.encode_prefix(text_embeds, hidden_states, Masks(tokens));
  std::vector<std::shared_ptr<const EncodedText>> encoded;
  for (size_t row = 0; row < tokens.size(); ++row) {
    encoded.push_back(std::make_shared<EncodedText>(CopyRow(prefix, static_cast<int64_t>(row))));
  }
  return encoded;
}

void SetTextResult(KandinskyGeneration& generation, const torch::Tensor& embedding,
                   const torch::Tensor& hidden_states) {
  const ClipTokenizer::Tokens& tokens = generation.texts.front().tokens;
  generation.result.embedding = ToFloatTensor(embedding);
  generation.result.hidden_states = ToFloatTensor(hidden_states);
  generation.result.token_ids.assign(tokens.ids.begin(), tokens.ids.end());
}

// The picture that a task encodes to latents.
using LatentsSource = std::variant<InputImage, SharedFloatTensor>;

LatentsSource LatentsSourceOf(const Task& task) {
  if (const auto* edit = std::get_if<ImageToImage>(&task)) return edit->init.image;
  if (const auto* inpaint = std::get_if<Inpaint>(&task)) return inpaint->image;
  if (const auto* control = std::get_if<ControlNet>(&task)) return control->init->image;
  return std::get<EncodeLatents>(task).image;
}

// Names it: the same for requests that share it.
const void* SourceOf(const Task& task) {
  return std::visit([](const auto& source) -> const void* { return source.get(); }, LatentsSourceOf(task));
}

// [1, 3, height, width] in -1..1.
torch::Tensor PixelsOf(const Task& task) {
  const LatentsSource source = LatentsSourceOf(task);
  if (const auto* image = std::get_if<InputImage>(&source)) return ToPixels(**image);
  return ToTensor(*std::get<SharedFloatTensor>(source)).unsqueeze(0);
}

}  // namespace

void EncodeTexts(const KandinskyModel& model, TextEncodingCache& cache,
                 absl::Span<KandinskyGeneration* const> batch) {
  TextsByKey texts = CollectTexts(batch);
  std::map<std::string, std::shared_ptr<const EncodedText>> encoded;
  std::vector<std::string> missing_keys;
  std::vector<const ClipTokenizer::Tokens*> tokens;  // first those of missing_keys
  for (const auto& [key, users] : texts) {
    if (auto found = cache.Find(key)) {
      encoded[key] = std::move(found);
    } else {
      missing_keys.push_back(key);
      tokens.push_back(&users.front()->tokens);
    }
  }
  std::vector<KandinskyGeneration*> embedded;
  for (KandinskyGeneration* generation : batch) {
    if (!WantsTextItself(*generation)) continue;
    embedded.push_back(generation);
    tokens.push_back(&generation->texts.front().tokens);
  }
  if (!tokens.empty()) {
    const auto output = model.text_encoder->forward(Ids(tokens));
    const auto missing = static_cast<int64_t>(missing_keys.size());
    for (size_t i = 0; i < embedded.size(); ++i) {
      const int64_t row = missing + static_cast<int64_t>(i);
      SetTextResult(*embedded[i], output.text_embeds[row], output.last_hidden_state[row]);
    }
    tokens.resize(missing_keys.size());
    if (missing > 0) {
      const auto fresh =
          MakePrefixes(*batch.front()->networks.prior, tokens, output.text_embeds.narrow(0, 0, missing),
                       output.last_hidden_state.narrow(0, 0, missing));
      for (size_t i = 0; i < fresh.size(); ++i) {
        cache.Insert(missing_keys[i], fresh[i]);
        encoded[missing_keys[i]] = fresh[i];
      }
    }
  }
  for (auto& [key, users] : texts) {
    for (RequestText* text : users) text->encoded = encoded[key];
  }
}

void EncodePictures(const KandinskyModel& model, absl::Span<KandinskyGeneration* const> batch) {
  // The images of one request share their pictures.
  std::map<const Image*, torch::Tensor> embeddings;
  for (const KandinskyGeneration* generation : batch) {
    for (const InputImage& picture : generation->plan.pictures) embeddings[picture.get()];
  }
  for (auto next = embeddings.begin(); next != embeddings.end();) {
    std::vector<torch::Tensor> pixels;
    const auto begin = next;
    for (; next != embeddings.end() && pixels.size() < kPicturesAtOnce; ++next) {
      pixels.push_back(ToClipPixels(*next->first, model.clip_mean, model.clip_std));
    }
    const torch::Tensor rows = model.image_encoder->forward(torch::cat(pixels));
    int64_t row = 0;
    for (auto made = begin; made != next; ++made) made->second = rows.narrow(0, row++, 1).clone();
  }
  for (KandinskyGeneration* generation : batch) {
    generation->picture_embeddings.clear();
    for (const InputImage& picture : generation->plan.pictures) {
      generation->picture_embeddings.push_back(embeddings[picture.get()]);
    }
    if (std::holds_alternative<EmbedImage>(generation->request.task)) {
      generation->result.embedding = ToFloatTensor(generation->picture_embeddings.front());
    }
  }
}

void EncodeImageLatents(const KandinskyModel& model, absl::Span<KandinskyGeneration* const> batch) {
  std::map<const void*, torch::Tensor> encoded;  // as above
  for (KandinskyGeneration* generation : batch) {
    torch::Tensor& latents = encoded[SourceOf(generation->request.task)];
    if (!latents.defined()) {
      const torch::Tensor pixels = PixelsOf(generation->request.task);
      latents = model.movq->encode(pixels.contiguous(at::MemoryFormat::ChannelsLast)).contiguous();
    }
    generation->image_latents = latents;
    if (std::holds_alternative<EncodeLatents>(generation->request.task)) {
      generation->result.latents = ToFloatTensor(latents);
    }
  }
}

}  // namespace kandinsky
