#include <string>

#include "pipeline/kandinsky/encode_networks.h"
#include "pipeline/kandinsky/stage_preparation.h"
#include "pipeline/kandinsky/stages.h"
#include "pipeline/kandinsky22/request_plan.h"

namespace kandinsky {

void RunEncodeStage(const KandinskyModel& model, TextEncodingCache& cache,
                    absl::Span<KandinskyGeneration* const> batch) {
  const std::string& network = batch.front()->batch_key().network;
  if (network == kTextEncoder) EncodeTexts(model, cache, batch);
  if (network == kImageEncoder) EncodePictures(model, batch);
  if (network == kMovqEncoder) EncodeImageLatents(model, batch);
  DrawsToKeep draws(batch);
  for (KandinskyGeneration* generation : batch) {
    if (generation->IsLastStep()) PrepareAfterEncode(model, *generation);
  }

  draws.Keep();
  for (KandinskyGeneration* generation : batch) generation->FinishStep();
}

}  // namespace kandinsky
