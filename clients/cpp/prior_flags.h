#pragma once

#include <CLI/CLI.hpp>
#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "clients/cpp/mix_flags.h"
#include "kandinsky/v1/embedding.pb.h"
#include "kandinsky/v1/image_generation.pb.h"

namespace kandinsky::client {

// The flags of what the image embedding is made of: of all commands that make images, and of `embed prompt`.
// What is not given stays unset in the request, so that the server's default holds.
struct PriorFlags {
  std::vector<std::string> prompt;  // its words
  std::vector<MixPartFlag> mix;     // empty: none
  std::optional<std::string> negative_prompt;
  std::optional<std::string> negative_prior_prompt;
  bool strict_prompt = false;
  std::string start_image;      // file; empty: none
  std::string start_embedding;  // likewise
  std::optional<double> start_strength;
  std::optional<int> steps;
  std::optional<double> guidance_scale;
  std::optional<uint64_t> seed;
  std::vector<uint64_t> seeds;
  std::optional<int> count;
  std::string model;
  std::string adapter;
};

// All of them; the prompt is a positional argument. `things` are what is made, e.g. "Images".
void AddPriorFlags(CLI::App& app, PriorFlags& flags, const std::string& things);

void AddModelFlag(CLI::App& app, std::string& model);

// Whether there is a prompt or a mixture.
bool HasPrompt(const PriorFlags& flags);

// Throws CLI::ParseError for flags of `app` that make no sense together.
void CheckPriorFlags(const CLI::App& app, const PriorFlags& flags);

// Reads the files and sets the fields. Errors are those of input_files.h.
absl::Status SetPrior(const PriorFlags& flags, v1::GenerateRequest& request);
absl::Status SetPrior(const PriorFlags& flags, v1::GenerateImageEmbeddingRequest& request);

}  // namespace kandinsky::client
