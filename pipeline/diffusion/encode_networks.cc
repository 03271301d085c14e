#include "pipeline/diffusion/encode_networks.h"

#include <map>
#include <string>
#include <utility>
#include <variant>
#include <vector>

#include "absl/strings/str_cat.h"
#include "pipeline/diffusion/input_tensors.h"

namespace kandinsky {
namespace {

// Images in one pass of the image encoder, for memory.
constexpr size_t kImagesAtOnce = 8;

// Besides encoder, readers and the prior's adapter the token ids decide everything: padding repeats the end
// token, and the mask follows from the length. Both have the same length in all texts of an encoder.
std::string CacheKey(const SampleText& text, const std::string& encoder, const std::string& adapter) {
  const TextTokens& tokens = text.tokens;
  std::string key(reinterpret_cast<const char*>(tokens.ids.data()), tokens.ids.size() * sizeof(int64_t));
  key.append(reinterpret_cast<const char*>(tokens.mask.data()), tokens.mask.size());
  absl::StrAppend(&key, encoder, text.for_denoiser ? " denoiser " : " ", text.for_prior ? adapter : "");
  return text.for_prior ? key + " prior" : key;
}

bool WantsTextItself(const DiffusionSample& sample) {
  return std::holds_alternative<EmbedText>(sample.request.task);
}

using TextsByKey = std::map<std::string, std::vector<SampleText*>>;

// The texts that go through `encoder` for the networks behind it.
TextsByKey CollectTexts(const std::string& encoder, absl::Span<DiffusionSample* const> batch) {
  TextsByKey texts;
  for (DiffusionSample* sample : batch) {
    if (WantsTextItself(*sample)) continue;
    for (size_t i = 0; i < sample->texts.size(); ++i) {
      if (sample->recipe.texts[i].encoder != encoder) continue;
      SampleText& text = sample->texts[i];
      texts[CacheKey(text, encoder, sample->networks.prior_adapter)].push_back(&text);
    }
  }
  return texts;
}

// A copy, not a view: a cached text must not keep the others of its batch in memory.
TextFeatures CopyRow(const TextFeatures& features, int64_t row) {
  TextFeatures copy = SelectRows(features, row, 1);
  for (torch::Tensor* tensor : {&copy.pooled, &copy.hidden_states, &copy.mask}) {
    if (tensor->defined()) *tensor = tensor->clone();
  }
  return copy;
}

// What the networks that read `texts` need of their `features`, row by row.
std::vector<std::shared_ptr<const EncodedText>> Prepare(const Prior* prior,
                                                        const std::vector<const SampleText*>& texts,
                                                        const TextFeatures& features) {
  std::vector<EncodedText> encoded(texts.size());
  std::vector<torch::Tensor> rows;
  std::vector<size_t> of_prior;
  for (size_t i = 0; i < texts.size(); ++i) {
    if (texts[i]->for_denoiser) encoded[i].features = CopyRow(features, static_cast<int64_t>(i));
    if (texts[i]->for_prior) of_prior.push_back(i);
  }
  if (of_prior.size() == texts.size()) {
    const auto prepared = prior->Prepare(features);
    for (size_t i = 0; i < texts.size(); ++i) encoded[i].prior = prepared[i];
  } else {
    for (const size_t i : of_prior) {
      encoded[i].prior = prior->Prepare(SelectRows(features, static_cast<int64_t>(i), 1)).front();
    }
  }
  std::vector<std::shared_ptr<const EncodedText>> shared;
  for (EncodedText& text : encoded) shared.push_back(std::make_shared<const EncodedText>(std::move(text)));
  return shared;
}

void SetTextResult(DiffusionSample& sample, const TextFeatures& features) {
  const TextTokens& tokens = sample.texts.front().tokens;
  sample.result.embedding = ToFloatTensor(features.pooled);
  sample.result.hidden_states = ToFloatTensor(features.hidden_states);
  sample.result.token_ids.assign(tokens.ids.begin(), tokens.ids.end());
}

// The image that a task encodes to latents.
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
torch::Tensor PixelsOf(const Placement& placement, const Task& task) {
  const LatentsSource source = LatentsSourceOf(task);
  if (const auto* image = std::get_if<InputImage>(&source)) return placement.OnDevice(ToPixels(**image));
  return placement.Floats(*std::get<SharedFloatTensor>(source)).unsqueeze(0);
}

}  // namespace

void EncodeTexts(const DiffusionModel& model, const std::string& network, TextEncodingCache& cache,
                 absl::Span<DiffusionSample* const> batch) {
  TextsByKey texts = CollectTexts(network, batch);
  std::map<std::string, std::shared_ptr<const EncodedText>> encoded;
  std::vector<std::string> missing_keys;
  std::vector<const SampleText*> missing;
  std::vector<const TextTokens*> tokens;  // those of the missing texts, then of the samples that want a text
  for (const auto& [key, users] : texts) {
    if (auto found = cache.Find(key)) {
      encoded[key] = std::move(found);
    } else {
      missing_keys.push_back(key);
      missing.push_back(users.front());
      tokens.push_back(&users.front()->tokens);
    }
  }
  std::vector<DiffusionSample*> embedded;
  for (DiffusionSample* sample : batch) {
    if (!WantsTextItself(*sample)) continue;
    embedded.push_back(sample);
    tokens.push_back(&sample->texts.front().tokens);
  }
  if (!tokens.empty()) {
    const TextFeatures features = model.text_encoders.at(network)->Encode(tokens);
    const auto missing_count = static_cast<int64_t>(missing.size());
    for (size_t i = 0; i < embedded.size(); ++i) {
      SetTextResult(*embedded[i], SelectRows(features, missing_count + static_cast<int64_t>(i), 1));
    }
    if (missing_count > 0) {
      const auto fresh =
          Prepare(batch.front()->networks.prior.get(), missing, SelectRows(features, 0, missing_count));
      for (size_t i = 0; i < fresh.size(); ++i) {
        cache.Insert(missing_keys[i], fresh[i]);
        encoded[missing_keys[i]] = fresh[i];
      }
    }
  }
  for (auto& [key, users] : texts) {
    for (SampleText* text : users) text->encoded = encoded[key];
  }
}

void EmbedImages(const DiffusionModel& model, absl::Span<DiffusionSample* const> batch) {
  // The samples of one request share their images.
  std::map<const Image*, torch::Tensor> embeddings;
  for (const DiffusionSample* sample : batch) {
    for (const InputImage& image : sample->recipe.images) embeddings[image.get()];
  }
  for (auto next = embeddings.begin(); next != embeddings.end();) {
    std::vector<const Image*> images;
    const auto begin = next;
    for (; next != embeddings.end() && images.size() < kImagesAtOnce; ++next) images.push_back(next->first);
    const torch::Tensor rows = model.image_encoder->Embed(images);
    int64_t row = 0;
    for (auto made = begin; made != next; ++made) made->second = rows.narrow(0, row++, 1).clone();
  }
  for (DiffusionSample* sample : batch) {
    sample->image_embeddings.clear();
    for (const InputImage& image : sample->recipe.images) {
      sample->image_embeddings.push_back(embeddings[image.get()]);
    }
    if (std::holds_alternative<EmbedImage>(sample->request.task)) {
      sample->result.embedding = ToFloatTensor(sample->image_embeddings.front());
    }
  }
}

void EncodeImageLatents(const DiffusionModel& model, absl::Span<DiffusionSample* const> batch) {
  std::map<const void*, torch::Tensor> encoded;  // by the image that the samples share
  for (DiffusionSample* sample : batch) {
    torch::Tensor& latents = encoded[SourceOf(sample->request.task)];
    if (!latents.defined()) {
      latents = model.autoencoder->Encode(PixelsOf(model.placement, sample->request.task));
    }
    sample->image_latents = latents;
    if (std::holds_alternative<EncodeLatents>(sample->request.task)) {
      sample->result.latents = ToFloatTensor(latents);
    }
  }
}

}  // namespace kandinsky
