#pragma once

#include <string>

#include "absl/strings/string_view.h"

namespace kandinsky {

// Whose rules name the files of a network: they differ in what is read when a folder holds both.
enum class WeightsNaming {
  kDiffusers,     // "diffusion_pytorch_model"; an index of shards comes before a single file
  kTransformers,  // "model"; a single file comes first
};

// The name without extension under which a network's weights are published, e.g. "diffusion_pytorch_model".
absl::string_view WeightsName(WeightsNaming naming);

// The safetensors file of a network's folder, or the index of its shards, in each generation of names that
// diffusers 0.42 and transformers 5 write or read: NAME.safetensors and NAME.safetensors.index.json, else the
// same for the variants fp16 and bf16, whose name stands before the extension of a file
// (NAME.fp16.safetensors) and in one of three places of an index (NAME.safetensors.index.fp16.json, before
// that NAME.safetensors.fp16.index.json, in huggingface_hub NAME.fp16.safetensors.index.json). The shards
// have any names, the index tells. Empty when there is none.
std::string FindWeights(const std::string& folder, WeightsNaming naming);

// A line that says which file is missing, and what lies there instead that cannot be read: pickled weights or
// a link to nothing.
std::string MissingWeights(const std::string& folder, WeightsNaming naming);

// "missing <path>", and where the path is a link to nothing, where it leads: an unfinished download.
std::string MissingFile(const std::string& path);

}  // namespace kandinsky
