#include <optional>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "pipeline/diffusion/input_tensors.h"
#include "pipeline/diffusion/stages.h"

namespace kandinsky {
namespace {

// The running step of the sampler; a loop that starts from a picture leaves out the first ones.
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

// Classifier-free guidance on the noise channels of one sample's rows. The variance channels, which only
// some samplers read, are those of the conditional row.
torch::Tensor GuidedOutput(const DiffusionSample& sample, const torch::Tensor& network_rows) {
  const torch::Tensor rows = network_rows.to(torch::kFloat32);
  const int64_t channels = sample.size.channels;
  const torch::Tensor conditional = rows.narrow(0, rows.size(0) - 1, 1);
  torch::Tensor noise = conditional.narrow(1, 0, channels);
  if (sample.guided()) {
    const torch::Tensor unconditional = rows.narrow(0, 0, 1).narrow(1, 0, channels);
    noise = unconditional + sample.request.guidance_scale * (noise - unconditional);
  }
  if (!sample.sampler->uses_predicted_variance()) return noise.contiguous();
  return at::cat({noise, conditional.narrow(1, channels, channels)}, 1);
}

// What one step changes about a sample.
struct DenoiseUpdate {
  torch::Tensor latents;
  // After the last step only.
  absl::Status failure;
  std::optional<FloatTensor> result;
};

DenoiseUpdate ComputeUpdate(DiffusionSample& sample, const torch::Tensor& rows) {
  DenoiseUpdate update;
  const int step = SamplerStep(sample);
  const auto draw = [&] { return sample.DrawNoise(sample.latents.sizes()); };
  update.latents = sample.sampler->Step(step, GuidedOutput(sample, rows), sample.latents, draw);
  update.latents = sample.conditioning->AfterStep(step, std::move(update.latents));
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
  std::vector<DenoiseUpdate> updates;
  int64_t offset = 0;
  for (DiffusionSample* sample : batch) {
    const int64_t count = sample->conditioning->rows();
    updates.push_back(ComputeUpdate(*sample, rows.narrow(0, offset, count)));
    offset += count;
  }

  random_state.Keep();
  for (size_t i = 0; i < batch.size(); ++i) Commit(std::move(updates[i]), *batch[i]);
}

}  // namespace kandinsky
