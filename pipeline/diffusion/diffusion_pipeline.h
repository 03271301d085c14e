#pragma once

#include <memory>

#include "pipeline/diffusion/diffusion_model.h"
#include "pipeline/diffusion/text_encoding_cache.h"
#include "pipeline/pipeline.h"

namespace kandinsky {

// The parts of a model behind the pipeline interface, whatever its family. Several may share one model; each
// belongs to one thread.
class DiffusionPipeline final : public Pipeline {
 public:
  // `threads`: compute threads of the calling thread's forward passes, >= 1. Call it on the owning thread.
  DiffusionPipeline(std::shared_ptr<const DiffusionModel> model, int threads);

  absl::StatusOr<std::unique_ptr<Sample>> Admit(const GenerationRequest& request,
                                                std::shared_ptr<const Plan> plan) override;
  absl::Status Step(absl::Span<Sample* const> batch) override;

 private:
  absl::StatusOr<std::unique_ptr<Sample>> AdmitOrThrow(const GenerationRequest& request,
                                                       std::shared_ptr<const Plan> plan) const;

  const std::shared_ptr<const DiffusionModel> model_;
  TextEncodingCache text_cache_;
};

}  // namespace kandinsky
