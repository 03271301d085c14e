#pragma once

#include <cstdint>
#include <list>
#include <memory>
#include <string>
#include <unordered_map>

#include "pipeline/diffusion/prior.h"
#include "pipeline/diffusion/text_encoder.h"

namespace kandinsky {

// What the networks after a text encoder read of one text. Immutable once made.
struct EncodedText {
  std::shared_ptr<const PriorText> prior;  // null where no prior reads the text
  TextFeatures features;                   // one row; undefined where the denoiser does not read the text

  size_t bytes() const;
};

// Least-recently-used texts, bounded by bytes: repeated prompts, and the empty negative prompt of nearly
// every request, are encoded once. Entries in use stay alive through their shared_ptr. Not thread-safe: one
// per pipeline.
class TextEncodingCache {
 public:
  explicit TextEncodingCache(size_t max_bytes) : max_bytes_(max_bytes) {}

  // Null when absent.
  std::shared_ptr<const EncodedText> Find(const std::string& key);

  void Insert(const std::string& key, std::shared_ptr<const EncodedText> text);

 private:
  struct Entry {
    std::string key;
    std::shared_ptr<const EncodedText> text;
  };

  const size_t max_bytes_;
  size_t bytes_ = 0;
  std::list<Entry> entries_;  // most recently used first; index_ points into it
  std::unordered_map<std::string, std::list<Entry>::iterator> index_;
};

}  // namespace kandinsky
