#pragma once

#include <string>

#include "absl/types/span.h"
#include "pipeline/diffusion/diffusion_model.h"
#include "pipeline/diffusion/diffusion_sample.h"
#include "pipeline/diffusion/text_encoding_cache.h"

namespace kandinsky {

// The networks of the encode stage. Each fills members of the samples that nobody reads before the stage is
// over; to run one again gives the same.

// Fills DiffusionSample::texts as far as they are of the text encoder `network`, a name in
// DiffusionModel::text_encoders; for EmbedText the results.
void EncodeTexts(const DiffusionModel& model, const std::string& network, TextEncodingCache& cache,
                 absl::Span<DiffusionSample* const> batch);

// Fills DiffusionSample::image_embeddings; for EmbedImage the results.
void EmbedImages(const DiffusionModel& model, absl::Span<DiffusionSample* const> batch);

// Fills DiffusionSample::image_latents; for EncodeLatents the results. One image at a time, for memory; an
// image that several samples share is encoded once.
void EncodeImageLatents(const DiffusionModel& model, absl::Span<DiffusionSample* const> batch);

}  // namespace kandinsky
