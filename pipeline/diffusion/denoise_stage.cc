#include <optional>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "pipeline/diffusion/input_tensors.h"
#include "pipeline/diffusion/stages.h"
#include "pipeline/samplers/batch_step.h"
#include "pipeline/samplers/guidance.h"

namespace kandinsky {
namespace {

// The running step of the sampler; a loop that starts from an image leaves out the first ones.
int SamplerStep(const DiffusionSample& sample) { return sample.conditioning->first_step() + sample.step(); }

// One batched pass; every sample contributes conditioning->rows() rows at its own time-step.
torch::Tensor PredictNoise(absl::Span<DiffusionSample* const> batch) {
  std::vector<torch::Tensor> inputs;
  std::vector<DenoiserRows> rows;
  for (DiffusionSample* sample : batch) {
    inputs.push_back(sample->conditioning->NetworkInput(sample->latents));
    rows.push_back(sample->conditioning->RowsAt(SamplerStep(*sample)));
  }
  return batch.front()->networks.denoiser->Predict(torch::cat(inputs), rows);
}

// The latents of all samples after the step, [batch, channels, h, w], from the rows of the batched pass.
// Guidance is on the noise channels; the variance channels, which only some samplers read, are those of the
// conditional row.
torch::Tensor NextLatents(absl::Span<DiffusionSample* const> batch, const torch::Tensor& rows) {
  std::vector<std::optional<float>> scales;
  std::vector<SampledRows> images;
  std::vector<Conditioning::RowStep> steps;
  std::vector<torch::Tensor> latents;
  for (DiffusionSample* sample : batch) {
    const int step = SamplerStep(*sample);
    scales.push_back(sample->guided() ? std::optional(sample->request.guidance_scale) : std::nullopt);
    const auto draw = [sample] { return sample->DrawNoise(sample->latents.sizes()); };
    images.push_back({sample->sampler.get(), step, draw});
    steps.push_back({sample->conditioning.get(), step});
    latents.push_back(sample->latents);
  }
  const NetworkOutput output = Guide(rows, scales, batch.front()->size.channels);
  return Conditioning::AfterStep(steps, StepBatch(images, output, at::cat(latents)));
}

// What one step changes about a sample.
struct DenoiseUpdate {
  torch::Tensor latents;
  // After the last step only.
  absl::Status failure;
  std::optional<FloatTensor> result;
};

DenoiseUpdate ComputeUpdate(const DiffusionSample& sample, torch::Tensor latents) {
  DenoiseUpdate update;
  update.latents = std::move(latents);
  if (!sample.IsLastStep()) return update;
  if (!torch::isfinite(update.latents).all().item<bool>()) {
    update.failure = absl::InternalError("the latents are not finite");
  } else if (sample.request.output.latents) {
    update.result = ToFloatTensor(update.latents);
  }
  return update;
}

void Commit(DenoiseUpdate update, DiffusionSample& sample) {
  sample.latents = std::move(update.latents);
  sample.sampler->Commit();
  if (sample.IsLastStep()) {
    sample.conditioning.reset();
    if (!update.failure.ok()) {
      sample.Fail(std::move(update.failure));
      return;
    }
    sample.result.latents = std::move(update.result);
  }
  sample.FinishStep();
}

}  // namespace

void RunDenoiseStage(absl::Span<DiffusionSample* const> batch) {
  const torch::Tensor rows = PredictNoise(batch);
  RandomStateGuard random_state(batch);
  const torch::Tensor latents = NextLatents(batch, rows);
  std::vector<DenoiseUpdate> updates;
  for (size_t i = 0; i < batch.size(); ++i) {
    updates.push_back(ComputeUpdate(*batch[i], latents.narrow(0, static_cast<int64_t>(i), 1)));
  }

  random_state.Keep();
  for (size_t i = 0; i < batch.size(); ++i) Commit(std::move(updates[i]), *batch[i]);
}

}  // namespace kandinsky
