#include "pipeline/kandinsky/encode_networks.h"
#include "pipeline/kandinsky/stage_preparation.h"
#include "pipeline/kandinsky/stages.h"

namespace kandinsky {

void RunEncodeStage(const KandinskyModel& model, TextEncodingCache& cache,
                    absl::Span<KandinskyGeneration* const> batch) {
  const KandinskyGeneration& first = *batch.front();
  switch (first.encode_networks[static_cast<size_t>(first.step())]) {
    case EncodeNetwork::kText:
      EncodeTexts(model, cache, batch);
      break;
    case EncodeNetwork::kImage:
      EncodePictures(model, batch);
      break;
    case EncodeNetwork::kLatents:
      EncodeImageLatents(model, batch);
      break;
    case EncodeNetwork::kPreparation:
      break;
  }
  DrawsToKeep draws(batch);
  for (KandinskyGeneration* generation : batch) {
    if (generation->IsLastStep()) PrepareAfterEncode(model, *generation);
  }

  draws.Keep();
  for (KandinskyGeneration* generation : batch) generation->FinishStep();
}

}  // namespace kandinsky
