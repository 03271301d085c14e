#include "training/embedding_exchange.h"

#include <algorithm>
#include <cstddef>
#include <map>
#include <string>

namespace kandinsky::training {
namespace {

int64_t Choose(const std::vector<int64_t>& choices, float draw) {
  const auto index = static_cast<size_t>(draw * static_cast<float>(choices.size()));
  return choices[std::min(index, choices.size() - 1)];
}

}  // namespace

EmbeddingExchange::EmbeddingExchange(absl::Span<const TrainingSample> samples) {
  std::map<std::string, int64_t> known;
  captions_of_.reserve(samples.size());
  for (size_t i = 0; i < samples.size(); ++i) {
    std::vector<int64_t>& captions = captions_of_.emplace_back();
    for (const std::string& text : samples[i].captions) {
      const auto [found, is_new] = known.emplace(text, static_cast<int64_t>(samples_of_.size()));
      if (is_new) samples_of_.emplace_back();
      captions.push_back(found->second);
      samples_of_[static_cast<size_t>(found->second)].push_back(static_cast<int64_t>(i));
    }
  }
}

int64_t EmbeddingExchange::Draw(int64_t sample, float first, float second) const {
  const std::vector<int64_t>& captions = captions_of_[static_cast<size_t>(sample)];
  if (captions.empty()) return sample;
  return Choose(samples_of_[static_cast<size_t>(Choose(captions, first))], second);
}

}  // namespace kandinsky::training
