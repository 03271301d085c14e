#include <string>

#include "pipeline/diffusion/encode_networks.h"
#include "pipeline/diffusion/stage_preparation.h"
#include "pipeline/diffusion/stages.h"
#include "pipeline/network_names.h"

namespace kandinsky {

void RunEncodeStage(const DiffusionModel& model, TextEncodingCache& cache,
                    absl::Span<DiffusionSample* const> batch) {
  const std::string& network = batch.front()->batch_key().network;
  if (model.text_encoders.contains(network)) EncodeTexts(model, network, cache, batch);
  if (network == kImageEncoder) EmbedImages(model, batch);
  if (network == kMovqEncoder) EncodeImageLatents(model, batch);
  RandomStateGuard random_state(batch);
  for (DiffusionSample* sample : batch) {
    if (sample->IsLastStep()) PrepareAfterEncode(model, *sample);
  }

  random_state.Keep();
  for (DiffusionSample* sample : batch) {
    if (sample->IsLastStep() && sample->steps_of(Stage::kPrior) == 0) sample->DropEncodedTexts();
    sample->FinishStep();
  }
}

}  // namespace kandinsky
