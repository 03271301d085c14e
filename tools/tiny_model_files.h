#pragma once

#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "pipeline/tokenizers/clip_vocabulary.h"

namespace kandinsky {

// A text file of the tiny model, by its path inside the model's folder.
struct TinyModelFile {
  std::string path;
  std::string content;
};

// What the U-Net is for, as the published decoder repositories: text to image, inpainting, depth maps.
enum class TinyNetwork { kDecoder, kInpaint, kControlNetDepth };

// The configuration files of the tiny model: the keys of the published repositories with small numbers, and
// the scheduler files as published.
std::vector<TinyModelFile> TinyModelConfigs(TinyNetwork network);

// The parsed content of one of them.
nlohmann::json TinyModelConfig(TinyNetwork network, const std::string& path);

// The tokenizer folder in the published layout: bytes, 400 merges of the CLIP vocabulary, special tokens.
std::vector<TinyModelFile> TinyTokenizerFiles();

}  // namespace kandinsky
