#pragma once

#include <CLI/CLI.hpp>
#include <optional>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "kandinsky/v1/image_generation.pb.h"

namespace kandinsky::client {

// A part of a mixture as it was given.
struct MixPartFlag {
  std::string flag;   // "--mix-text", "--mix-image" or "--mix-embedding"
  std::string value;  // text or file
  std::optional<double> weight;
};

// The flags of a mixture, which takes the prompt's place: texts, images and embeddings, each with its weight
// behind it. `parts` get them in the order in which they are given.
void AddMixFlags(CLI::App& app, std::vector<MixPartFlag>& parts);

// Reads the files and adds the parts to `mix`. Errors are those of input_files.h.
absl::Status SetMix(const std::vector<MixPartFlag>& parts, v1::Mix& mix);

}  // namespace kandinsky::client
