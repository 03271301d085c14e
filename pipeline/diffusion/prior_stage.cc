#include <optional>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "pipeline/diffusion/stage_preparation.h"
#include "pipeline/diffusion/stages.h"
#include "pipeline/samplers/batch_step.h"
#include "pipeline/samplers/guidance.h"

namespace kandinsky {
namespace {

// The running step of the prior's sampler; a prior that starts from an embedding leaves out the first ones.
int SamplerStep(const DiffusionSample& sample) {
  const int planned = sample.steps_of(Stage::kPrior);
  return sample.prior_sampler->step_count() - planned + sample.step();
}

// One batched pass over the prior rows of all samples; with guidance the unconditional row comes first.
torch::Tensor PredictRows(absl::Span<DiffusionSample* const> batch) {
  std::vector<torch::Tensor> noisy;
  std::vector<float> timesteps;
  std::vector<const PriorText*> texts;
  for (const DiffusionSample* sample : batch) {
    const float timestep = sample->prior_sampler->timesteps()[static_cast<size_t>(SamplerStep(*sample))];
    const auto add = [&](size_t row, int text) {
      noisy.push_back(sample->prior_latents[static_cast<int64_t>(row)]);
      timesteps.push_back(timestep);
      texts.push_back(sample->texts[static_cast<size_t>(text)].encoded->prior.get());
    };
    for (size_t row = 0; row < sample->recipe.rows.size(); ++row) {
      const PriorRow& planned = sample->recipe.rows[row];
      if (planned.unconditional >= 0) add(row, planned.unconditional);
      add(row, planned.text);
    }
  }
  return batch.front()->networks.prior->Predict(torch::stack(noisy), timesteps, texts);
}

// The latents of all samples after the step, a row for every row of their recipes, from the rows of the
// batched pass.
torch::Tensor NextLatents(absl::Span<DiffusionSample* const> batch, const torch::Tensor& rows) {
  std::vector<std::optional<float>> scales;
  std::vector<SampledRows> images;
  std::vector<torch::Tensor> latents;
  for (DiffusionSample* sample : batch) {
    for (const PriorRow& planned : sample->recipe.rows) {
      const float scale = sample->request.prior_guidance_scale;
      scales.push_back(planned.unconditional >= 0 ? std::optional(scale) : std::nullopt);
    }
    const torch::Tensor& own = sample->prior_latents;
    const auto draw = [sample, width = own.size(1)] { return sample->DrawPriorNoise(width); };
    images.push_back({sample->prior_sampler.get(), SamplerStep(*sample), draw, own.size(0)});
    latents.push_back(own);
  }
  return StepBatch(images, Guide(rows, scales, rows.size(1)), at::cat(latents));
}

// What one step changes about a sample.
struct PriorUpdate {
  torch::Tensor latents;
  absl::Status failure;  // after the last step only
};

PriorUpdate ComputeUpdate(const DiffusionModel& model, DiffusionSample& sample, torch::Tensor latents) {
  PriorUpdate update;
  update.latents = std::move(latents);
  if (!sample.IsLastStep()) return update;
  if (!torch::isfinite(update.latents).all().item<bool>()) {
    update.failure = absl::InternalError("the image embedding is not finite");
  } else {
    PrepareAfterPrior(model, sample, update.latents);
  }
  return update;
}

void Commit(PriorUpdate update, DiffusionSample& sample) {
  sample.prior_sampler->Commit();
  if (!sample.IsLastStep()) {
    sample.prior_latents = std::move(update.latents);
  } else {
    sample.EndPrior();
    if (!update.failure.ok()) {
      sample.Fail(std::move(update.failure));
      return;
    }
  }
  sample.FinishStep();
}

}  // namespace

void RunPriorStage(const DiffusionModel& model, absl::Span<DiffusionSample* const> batch) {
  const torch::Tensor rows = PredictRows(batch);
  RandomStateGuard random_state(batch);
  const torch::Tensor latents = NextLatents(batch, rows);
  std::vector<PriorUpdate> updates;
  int64_t offset = 0;
  for (DiffusionSample* sample : batch) {
    const int64_t count = sample->prior_latents.size(0);
    updates.push_back(ComputeUpdate(model, *sample, latents.narrow(0, offset, count)));
    offset += count;
  }

  random_state.Keep();
  for (size_t i = 0; i < batch.size(); ++i) Commit(std::move(updates[i]), *batch[i]);
}

}  // namespace kandinsky
