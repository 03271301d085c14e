#pragma once

#include "absl/types/span.h"
#include "pipeline/kandinsky/kandinsky_generation.h"
#include "pipeline/kandinsky/kandinsky_model.h"

namespace kandinsky {

// The networks of the encode stage. Each fills members of the generations that nobody reads before the stage
// is over; to run one again gives the same.

// KandinskyGeneration::texts; for EmbedText the results.
void EncodeTexts(const KandinskyModel& model, TextEncodingCache& cache,
                 absl::Span<KandinskyGeneration* const> batch);

// KandinskyGeneration::picture_embeddings; for EmbedImage the results.
void EncodePictures(const KandinskyModel& model, absl::Span<KandinskyGeneration* const> batch);

// KandinskyGeneration::image_latents; for EncodeLatents the results. One picture at a time, for memory; a
// picture that several generations share is encoded once.
void EncodeImageLatents(const KandinskyModel& model, absl::Span<KandinskyGeneration* const> batch);

}  // namespace kandinsky
