#pragma once

#include <memory>

#include "pipeline/kandinsky/kandinsky_model.h"
#include "pipeline/kandinsky/text_encoding_cache.h"
#include "pipeline/pipeline.h"

namespace kandinsky {

// Kandinsky 2.2 behind the pipeline interface. Several may share one model; each belongs to one thread.
class KandinskyPipeline final : public Pipeline {
 public:
  // `threads`: compute threads of the calling thread's forward passes, >= 1. Call it on the owning thread.
  KandinskyPipeline(std::shared_ptr<const KandinskyModel> model, int threads);

  absl::StatusOr<std::unique_ptr<Generation>> Admit(const GenerationRequest& request,
                                                    std::shared_ptr<const Plan> plan) override;
  absl::Status Step(absl::Span<Generation* const> batch) override;

 private:
  absl::StatusOr<std::unique_ptr<Generation>> AdmitOrThrow(const GenerationRequest& request,
                                                           std::shared_ptr<const Plan> plan) const;

  const std::shared_ptr<const KandinskyModel> model_;
  TextEncodingCache text_cache_;
};

}  // namespace kandinsky
