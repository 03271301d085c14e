#pragma once

#include <optional>
#include <string>
#include <variant>
#include <vector>

#include "pipeline/generation_request.h"

namespace kandinsky {

// One embedding that the prior samples.
struct PriorRow {
  int text = 0;            // index into PriorPlan::texts
  int unconditional = -1;  // the text of its unconditional pass, an index too; -1: without guidance
  int run = 0;             // index into PriorPlan::run_rows: whose random numbers it takes
  int run_row = 0;         // which row of them
};

// One summand of the image embedding.
struct EmbeddingTerm {
  struct Row {
    int index;
  };
  struct Picture {
    int index;
  };
  std::variant<Row, Picture, ImageEmbedding> source;
  float weight = 1.0f;
};

// Where the image embeddings of a request come from.
//
// Where diffusers calls the prior several times one after the other, drawing from one generator, all rows are
// sampled together here: what ties the calls to each other are the random numbers alone, and each run has its
// own place in the generator's sequence. Runs and rows whose result nobody reads are not sampled; their
// numbers are only passed over.
struct PriorPlan {
  std::vector<std::string> texts;    // that the rows need, each once
  std::vector<InputImage> pictures;  // to embed, in the order of the request
  std::vector<PriorRow> rows;        // to sample
  std::vector<int> run_rows;         // rows of each draw of each run, in the order of the runs
  std::vector<EmbeddingTerm>
      embedding;  // whose weighted sum is the image embedding; empty when nothing reads it
  // The negative embedding: a row, a given one, or (neither) that of the zero image.
  std::optional<int> negative_row;
  ImageEmbedding negative_embedding;
};

// Pure. The runs are those of diffusers 0.42: KandinskyV22PriorPipeline, its interpolate() for Mix,
// KandinskyV22PriorEmb2EmbPipeline for prior_start; with a negative_prior_prompt those that the original
// package makes in generate_text2img.
PriorPlan PlanPrior(const GenerationRequest& request);

}  // namespace kandinsky
