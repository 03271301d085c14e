#include "pipeline/simulated/simulated_results.h"

#include <algorithm>
#include <optional>
#include <sstream>
#include <string>
#include <variant>

#include "pipeline/simulated/simulated_image.h"

namespace kandinsky {
namespace {

constexpr int64_t kLatentScale = 8;
constexpr int64_t kLatentChannels = 4;
constexpr int64_t kBeginToken = 49406;
constexpr int64_t kEndToken = 49407;

// FNV-1a: values have to be the same in every process, which std::hash does not promise.
uint64_t Fingerprint(const void* data, size_t size, uint64_t hash = 0xCBF29CE484222325ull) {
  const auto* bytes = static_cast<const uint8_t*>(data);
  for (size_t i = 0; i < size; ++i) hash = (hash ^ bytes[i]) * 0x100000001B3ull;
  return hash;
}

uint64_t Fingerprint(const std::string& text) { return Fingerprint(text.data(), text.size()); }

uint64_t Fingerprint(const InputImage& image) {
  return image == nullptr ? 0 : Fingerprint(image->pixels.data(), image->pixels.size());
}

uint64_t Fingerprint(const SharedFloatTensor& tensor) {
  return tensor == nullptr ? 0 : Fingerprint(tensor->values.data(), tensor->values.size() * sizeof(float));
}

// Of the prompt, or of what stands for it.
uint64_t PromptFingerprint(const GenerationRequest& request) {
  uint64_t hash = Fingerprint(request.prompt);
  if (!request.mix) return hash;
  for (const MixPart& part : request.mix->parts) {
    hash ^= std::visit([](const auto& content) { return Fingerprint(content); }, part.content);
    hash = Fingerprint(&part.weight, sizeof(part.weight), hash);
  }
  return hash;
}

FloatTensor Values(uint64_t seed, std::vector<int64_t> shape) {
  size_t count = 1;
  for (const int64_t size : shape) count *= static_cast<size_t>(size);
  return {.shape = std::move(shape), .values = SimulatedLatents(seed, count)};
}

std::vector<std::string> WordsOf(const std::string& text) {
  std::istringstream stream(text);
  std::vector<std::string> words;
  for (std::string word; stream >> word;) words.push_back(word);
  return words;
}

std::vector<int64_t> TokenIds(const std::string& text) {
  std::vector<int64_t> ids = {kBeginToken};
  for (const std::string& word : WordsOf(text)) {
    if (ids.size() + 1 < kSimulatedTextWindow)
      ids.push_back(static_cast<int64_t>(Fingerprint(word) % kBeginToken));
  }
  ids.resize(kSimulatedTextWindow, kEndToken);
  return ids;
}

PromptTokens CountTokens(const char* field, const std::string& text) {
  const int tokens = 2 + static_cast<int>(WordsOf(text).size());
  return {.field = field, .tokens = tokens, .kept_tokens = std::min(tokens, kSimulatedTextWindow)};
}

void AddEmbeddings(const GenerationRequest& request, int64_t dim, GenerationResult& result) {
  if (std::holds_alternative<EmbedText>(request.task)) {
    const uint64_t text = Fingerprint(request.prompt);
    result.embedding = Values(text, {dim});
    result.hidden_states = Values(text + 1, {kSimulatedTextWindow, dim});
    result.token_ids = TokenIds(request.prompt);
  } else if (const auto* task = std::get_if<EmbedImage>(&request.task)) {
    result.embedding = Values(Fingerprint(task->image), {dim});
  } else if (std::holds_alternative<EmbedPrompt>(request.task)) {
    result.embedding = Values(PromptFingerprint(request) ^ request.seed, {dim});
    result.negative_embedding =
        Values(Fingerprint(request.negative_prompt.value_or("")) ^ ~request.seed, {dim});
  }
}

}  // namespace

GenerationResult SimulatedResult(const GenerationRequest& request, int embedding_dim) {
  GenerationResult result;
  AddEmbeddings(request, embedding_dim, result);
  uint64_t origin = request.seed;
  if (const auto* encode = std::get_if<EncodeLatents>(&request.task)) {
    origin = std::visit([](const auto& image) { return Fingerprint(image); }, encode->image);
  } else if (const auto* decode = std::get_if<DecodeLatents>(&request.task)) {
    origin = Fingerprint(decode->latents);
  }
  const bool encodes = std::holds_alternative<EncodeLatents>(request.task);
  if (encodes || (MakesImage(request.task) && request.output.latents)) {
    result.latents =
        Values(origin, {kLatentChannels, request.height / kLatentScale, request.width / kLatentScale});
  }
  const bool draws = MakesImage(request.task) || std::holds_alternative<DecodeLatents>(request.task);
  if (draws && request.output.pixels) result.pixels = Values(origin, {3, request.height, request.width});
  return result;
}

std::vector<PromptTokens> SimulatedPromptTokens(const GenerationRequest& request) {
  std::vector<PromptTokens> tokens;
  if (request.mix) {
    for (size_t i = 0; i < request.mix->parts.size(); ++i) {
      const auto* text = std::get_if<std::string>(&request.mix->parts[i].content);
      if (text == nullptr) continue;
      tokens.push_back(CountTokens("", *text));
      tokens.back().field = "mix.parts[" + std::to_string(i) + "].text";
    }
  } else {
    tokens.push_back(CountTokens("prompt", request.prompt));
  }
  if (request.negative_prompt) tokens.push_back(CountTokens("negative_prompt", *request.negative_prompt));
  if (request.negative_prior_prompt) {
    tokens.push_back(CountTokens("negative_prior_prompt", *request.negative_prior_prompt));
  }
  return tokens;
}

}  // namespace kandinsky
