#pragma once

#include <optional>
#include <string>
#include <variant>
#include <vector>

#include "pipeline/generation_request.h"

namespace kandinsky {

// A text that a network reads.
struct RecipeText {
  std::string encoder;  // the text encoder, as BatchKey::network names it
  std::string text;

  friend bool operator==(const RecipeText&, const RecipeText&) = default;
};

// A text as the request gives it, for the report on what was cut.
struct RequestText {
  std::string field;  // e.g. "prompt"
  std::string text;
};

// One embedding that the prior samples.
struct PriorRow {
  int text = 0;            // index into SampleRecipe::texts
  int unconditional = -1;  // the text of its unconditional pass, an index too; -1: without guidance
  int run = 0;             // index into SampleRecipe::run_rows: whose random numbers it takes
  int run_row = 0;         // which row of them
};

// One summand of the image embedding.
struct EmbeddingTerm {
  struct Row {
    int index;
  };
  struct EmbeddedImage {
    int index;
  };
  std::variant<Row, EmbeddedImage, ImageEmbedding> source;
  float weight = 1.0f;
};

// What a text encoder gives to the network that denoises.
struct DenoiserText {
  int text = 0;           // index into SampleRecipe::texts
  int unconditional = 0;  // of the unconditional pass, an index too; unused without guidance
};

// What a request gives to its networks: which texts and images are encoded, what the prior samples, and what
// the image embeddings and texts are that the denoiser sees. A family makes it (Family::RecipeOf).
//
// Where diffusers calls the prior several times one after the other, drawing from one generator, all rows are
// sampled together here: what ties the calls to each other are the random numbers alone, and each run has its
// own place in the generator's sequence. Runs and rows whose result nobody reads are not sampled; their
// numbers are only passed over.
struct SampleRecipe {
  std::vector<RecipeText> texts;   // to encode, each once
  std::vector<InputImage> images;  // to embed, in the order of the request
  std::vector<PriorRow> rows;      // to sample
  std::vector<int> run_rows;       // rows of each draw of each run, in the order of the runs
  // Whose weighted sum is the image embedding; empty when nothing reads it.
  std::vector<EmbeddingTerm> embedding;
  // The negative embedding: a row, a given one, or (neither) that of the zero image.
  std::optional<int> negative_row;
  ImageEmbedding negative_embedding;
  std::vector<DenoiserText> denoiser_texts;  // one per text encoder that the denoiser reads, in its order
};

}  // namespace kandinsky
