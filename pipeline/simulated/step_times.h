#pragma once

#include "absl/time/time.h"
#include "pipeline/pipeline.h"

namespace kandinsky {

// How long steps take, in milliseconds: a part of each step and a part of each of its rows. A row is a
// sample; in the denoise stage it counts half without guidance. The row parts of denoise and
// decode are those of 512 x 512 pixels (64 x 64 latents) and grow with the latents' area. Encoding an image
// to latents takes as long as decoding, preparing what no network encodes takes no time. The defaults follow
// one H200.
struct SimulatedStepTimes {
  double encode_ms = 3;
  double encode_row_ms = 0.5;
  double prior_ms = 0.65;
  double prior_row_ms = 0.07;
  double denoise_ms = 2.5;
  double denoise_row_ms = 2.55;
  double decode_ms = 1;
  double decode_row_ms = 4.5;
};

// The time of a step of `rows` >= 1 samples with `key`; zero in Stage::kDone. A pure function.
absl::Duration SimulatedStepTime(const SimulatedStepTimes& times, const BatchKey& key, int rows);

}  // namespace kandinsky
