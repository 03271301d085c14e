#include <memory>
#include <utility>
#include <vector>

#include "pipeline/kandinsky/stages.h"

namespace kandinsky {
namespace {

// One batched pass over the prior rows of all generations.
torch::Tensor PredictRows(const KandinskyModel& model, absl::Span<KandinskyGeneration* const> batch) {
  std::vector<torch::Tensor> noisy;
  std::vector<float> timesteps;
  std::vector<const PriorPrefix*> prefixes;
  for (const KandinskyGeneration* generation : batch) {
    for (const PriorRow& row : generation->prior_rows) {
      noisy.push_back(generation->prior_latents[row.latent_row]);
      timesteps.push_back(generation->prior_sampler->timesteps()[static_cast<size_t>(generation->step())]);
      prefixes.push_back(&row.text->encoded->prefix);
    }
  }
  return model.prior->forward_suffix(torch::stack(noisy), torch::tensor(timesteps),
                                     ConcatenatePrefixes(prefixes));
}

// The guided prediction for every latent row of `generation`, from its rows of the batched pass.
torch::Tensor CombineRows(const KandinskyGeneration& generation, const torch::Tensor& rows) {
  int64_t next = 0;
  torch::Tensor prediction;
  if (generation.prior_guided()) {
    const torch::Tensor unconditional = rows[next++];
    prediction = unconditional + generation.request.prior_guidance_scale * (rows[next++] - unconditional);
  } else {
    prediction = rows[next++];
  }
  if (generation.prior_latents.size(0) == 1) return prediction.unsqueeze(0);
  // Without decoder guidance nobody reads the negative embedding; only its random numbers matter.
  const torch::Tensor negative = next < rows.size(0) ? rows[next] : torch::zeros_like(prediction);
  return torch::stack({prediction, negative});
}

// What one step changes about a generation.
struct PriorUpdate {
  torch::Tensor prior_latents;
  // After the last step only: what the denoise loop starts from.
  std::unique_ptr<Conditioning> conditioning;
  torch::Tensor latents;
};

// The image embeddings are known: prepares what the denoise loop needs.
void PrepareDenoise(const KandinskyModel& model, KandinskyGeneration& generation, PriorUpdate& update) {
  torch::Tensor embeddings = update.prior_latents * model.prior->clip_std + model.prior->clip_mean;
  if (!generation.guided()) {
    embeddings = embeddings.narrow(0, 0, 1);
  } else if (embeddings.size(0) == 2) {
    embeddings = embeddings.flip(0);  // the negative prompt's embedding is the unconditional row
  } else {
    embeddings = torch::cat({model.zero_image_embedding, embeddings});
  }
  update.conditioning =
      std::make_unique<Conditioning>(*model.unet, embeddings, generation.sampler->timesteps());
  const torch::Tensor noise = generation.DrawNoise({1, 4, generation.latent_height, generation.latent_width});
  update.latents = update.conditioning->InitialLatents(noise * generation.sampler->init_noise_sigma());
}

bool IsLastStep(const KandinskyGeneration& generation) {
  return generation.step() + 1 == generation.prior_sampler->step_count();
}

PriorUpdate ComputeUpdate(const KandinskyModel& model, KandinskyGeneration& generation,
                          const torch::Tensor& rows) {
  PriorUpdate update;
  const auto draw = [&] { return generation.DrawNoise(generation.prior_latents.sizes()); };
  update.prior_latents = generation.prior_sampler->Step(generation.step(), CombineRows(generation, rows),
                                                        generation.prior_latents, draw);
  if (IsLastStep(generation)) PrepareDenoise(model, generation, update);
  return update;
}

void Commit(PriorUpdate update, KandinskyGeneration& generation) {
  if (!IsLastStep(generation)) {
    generation.prior_latents = std::move(update.prior_latents);
    generation.FinishStep();
    return;
  }
  generation.conditioning = std::move(update.conditioning);
  generation.latents = std::move(update.latents);
  generation.prior_latents.reset();
  generation.prior_rows.clear();
  generation.prompt.encoded.reset();
  if (generation.negative) generation.negative->encoded.reset();
  generation.EnterStage(Stage::kDenoise, "unet");
}

}  // namespace

void RunPriorStage(const KandinskyModel& model, absl::Span<KandinskyGeneration* const> batch) {
  const torch::Tensor rows = PredictRows(model, batch);
  DrawsToKeep draws(batch);
  std::vector<PriorUpdate> updates;
  int64_t offset = 0;
  for (KandinskyGeneration* generation : batch) {
    const int64_t count = static_cast<int64_t>(generation->prior_rows.size());
    updates.push_back(ComputeUpdate(model, *generation, rows.narrow(0, offset, count)));
    offset += count;
  }

  draws.Keep();
  for (size_t i = 0; i < batch.size(); ++i) Commit(std::move(updates[i]), *batch[i]);
}

}  // namespace kandinsky
