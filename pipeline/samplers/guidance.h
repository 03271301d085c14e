#pragma once

#include <torch/types.h>

#include <optional>

#include "absl/types/span.h"
#include "pipeline/samplers/batch_step.h"

namespace kandinsky {

// Classifier-free guidance (Ho, Salimans, "Classifier-Free Diffusion Guidance", 2022) over a batch, in the
// order of diffusers: unconditional + scale * (conditional - unconditional).
//
// `scales` has an entry per row of the result. An entry without a scale takes one of `network_rows`, as it
// is; one with a scale takes two, the unconditional one first. The first `channels` channels (dimension 1)
// are the prediction; the others, which are not guided, are the variance that the network predicts for the
// condition. Any device and float dtype; a row's bits depend on its own rows and scale alone.
NetworkOutput Guide(const torch::Tensor& network_rows, absl::Span<const std::optional<float>> scales,
                    int64_t channels);

}  // namespace kandinsky
