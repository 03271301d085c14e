#pragma once

#include <memory>

#include "absl/status/statusor.h"
#include "pipeline/diffusion/diffusion_model.h"
#include "pipeline/kandinsky22/networks/load_kandinsky22.h"

namespace kandinsky {

// Loads the parts of a Kandinsky 2.2 model from a published-layout directory pair. Errors as LoadKandinsky.
absl::StatusOr<std::shared_ptr<const DiffusionModel>> LoadNetworks(const PipelineOptions& options);

}  // namespace kandinsky
