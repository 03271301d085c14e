#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "pipeline/kandinsky/stage_preparation.h"
#include "pipeline/kandinsky/stages.h"

namespace kandinsky {
namespace {

// The running step of the prior's sampler; a prior that starts from an embedding leaves out the first ones.
int SamplerStep(const KandinskyGeneration& generation) {
  const int planned = generation.steps_of(Stage::kPrior);
  return generation.prior_sampler->step_count() - planned + generation.step();
}

// One batched pass over the prior rows of all generations; with guidance the unconditional row comes first.
torch::Tensor PredictRows(absl::Span<KandinskyGeneration* const> batch) {
  std::vector<torch::Tensor> noisy;
  std::vector<float> timesteps;
  std::vector<const PriorPrefix*> prefixes;
  for (const KandinskyGeneration* generation : batch) {
    const float timestep =
        generation->prior_sampler->timesteps()[static_cast<size_t>(SamplerStep(*generation))];
    const auto add = [&](size_t row, int text) {
      noisy.push_back(generation->prior_latents[static_cast<int64_t>(row)]);
      timesteps.push_back(timestep);
      prefixes.push_back(&generation->texts[static_cast<size_t>(text)].encoded->prefix);
    };
    for (size_t row = 0; row < generation->plan.rows.size(); ++row) {
      const PriorRow& planned = generation->plan.rows[row];
      if (planned.unconditional >= 0) add(row, planned.unconditional);
      add(row, planned.text);
    }
  }
  const PriorTransformer& prior = *batch.front()->networks.prior;
  return prior.forward_suffix(torch::stack(noisy), torch::tensor(timesteps), ConcatenatePrefixes(prefixes));
}

// The guided prediction for every row of the plan, from the generation's rows of the batched pass.
torch::Tensor CombineRows(const KandinskyGeneration& generation, const torch::Tensor& rows) {
  std::vector<torch::Tensor> predictions;
  int64_t next = 0;
  for (const PriorRow& planned : generation.plan.rows) {
    torch::Tensor prediction = rows[next++];
    if (planned.unconditional >= 0) {
      prediction = prediction + generation.request.prior_guidance_scale * (rows[next++] - prediction);
    }
    predictions.push_back(std::move(prediction));
  }
  return torch::stack(predictions);
}

// What one step changes about a generation.
struct PriorUpdate {
  torch::Tensor latents;
  absl::Status failure;  // after the last step only
};

PriorUpdate ComputeUpdate(const KandinskyModel& model, KandinskyGeneration& generation,
                          const torch::Tensor& rows) {
  PriorUpdate update;
  const auto draw = [&] { return generation.DrawPriorNoise(generation.prior_latents.size(1)); };
  update.latents = generation.prior_sampler->Step(SamplerStep(generation), CombineRows(generation, rows),
                                                  generation.prior_latents, draw);
  if (!generation.IsLastStep()) return update;
  if (!torch::isfinite(update.latents).all().item<bool>()) {
    update.failure = absl::InternalError("the image embedding is not finite");
  } else {
    PrepareAfterPrior(model, generation, update.latents);
  }
  return update;
}

void Commit(PriorUpdate update, KandinskyGeneration& generation) {
  generation.prior_sampler->Commit();
  if (!generation.IsLastStep()) {
    generation.prior_latents = std::move(update.latents);
  } else {
    generation.EndPrior();
    if (!update.failure.ok()) {
      generation.Fail(std::move(update.failure));
      return;
    }
  }
  generation.FinishStep();
}

}  // namespace

void RunPriorStage(const KandinskyModel& model, absl::Span<KandinskyGeneration* const> batch) {
  const torch::Tensor rows = PredictRows(batch);
  DrawsToKeep draws(batch);
  std::vector<PriorUpdate> updates;
  int64_t offset = 0;
  for (KandinskyGeneration* generation : batch) {
    const int64_t count = generation->step_cost().network_rows;
    updates.push_back(ComputeUpdate(model, *generation, rows.narrow(0, offset, count)));
    offset += count;
  }

  draws.Keep();
  for (size_t i = 0; i < batch.size(); ++i) Commit(std::move(updates[i]), *batch[i]);
}

}  // namespace kandinsky
