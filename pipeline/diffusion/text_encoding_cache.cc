#include "pipeline/diffusion/text_encoding_cache.h"

#include <utility>

namespace kandinsky {

size_t EncodedText::bytes() const {
  size_t total = prior == nullptr ? 0 : prior->bytes();
  for (const torch::Tensor* tensor : {&features.pooled, &features.hidden_states, &features.mask}) {
    if (tensor->defined()) total += tensor->nbytes();
  }
  return total;
}

std::shared_ptr<const EncodedText> TextEncodingCache::Find(const std::string& key) {
  const auto found = index_.find(key);
  if (found == index_.end()) return nullptr;
  entries_.splice(entries_.begin(), entries_, found->second);
  return found->second->text;
}

void TextEncodingCache::Insert(const std::string& key, std::shared_ptr<const EncodedText> text) {
  if (index_.contains(key)) return;
  const size_t bytes = text->bytes();
  entries_.push_front({key, std::move(text)});
  try {
    index_[key] = entries_.begin();
  } catch (...) {
    entries_.pop_front();
    throw;
  }
  bytes_ += bytes;
  while (bytes_ > max_bytes_ && entries_.size() > 1) {
    bytes_ -= entries_.back().text->bytes();
    index_.erase(entries_.back().key);
    entries_.pop_back();
  }
}

}  // namespace kandinsky
