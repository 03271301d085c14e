#include <optional>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "pipeline/kandinsky/input_tensors.h"
#include "pipeline/kandinsky/stages.h"

namespace kandinsky {
namespace {

constexpr int64_t kLatentChannels = 4;

// The running step of the sampler; a loop that starts from a picture leaves out the first ones.
int SamplerStep(const KandinskyGeneration& generation) {
  return generation.conditioning->first_step() + generation.step();
}

// One batched U-Net pass; every generation contributes conditioning->rows() rows at its own time-step.
torch::Tensor PredictNoise(absl::Span<KandinskyGeneration* const> batch) {
  const UNet2DConditionModel& unet = *batch.front()->networks.unet;
  std::vector<torch::Tensor> inputs;
  std::vector<UNetConditionRows> conditions;
  for (KandinskyGeneration* generation : batch) {
    Conditioning& conditioning = *generation->conditioning;
    inputs.push_back(conditioning.NetworkInput(generation->latents));
    const Conditioning::TimeSlice time = conditioning.TimeAt(unet, SamplerStep(*generation));
    conditions.push_back({&conditioning.context(), time.time, time.index});
  }
  const torch::Tensor input = torch::cat(inputs).contiguous(at::MemoryFormat::ChannelsLast);
  return unet.forward(input, AssembleConditions(conditions));
}

// Classifier-free guidance on the noise channels of one generation's rows. The variance channels, which only
// some samplers read, are those of the conditional row.
torch::Tensor GuidedOutput(const KandinskyGeneration& generation, const torch::Tensor& network_rows) {
  const torch::Tensor rows = network_rows.to(torch::kFloat32);
  const torch::Tensor conditional = rows.narrow(0, rows.size(0) - 1, 1);
  torch::Tensor noise = conditional.narrow(1, 0, kLatentChannels);
  if (generation.guided()) {
    const torch::Tensor unconditional = rows.narrow(0, 0, 1).narrow(1, 0, kLatentChannels);
    noise = unconditional + generation.request.guidance_scale * (noise - unconditional);
  }
  if (!generation.sampler->uses_predicted_variance()) return noise.contiguous();
  return at::cat({noise, conditional.narrow(1, kLatentChannels, kLatentChannels)}, 1);
}

// What one step changes about a generation.
struct DenoiseUpdate {
  torch::Tensor latents;
  // After the last step only.
  absl::Status failure;
  std::optional<FloatTensor> result;
};

DenoiseUpdate ComputeUpdate(KandinskyGeneration& generation, const torch::Tensor& rows) {
  DenoiseUpdate update;
  const int step = SamplerStep(generation);
  const auto draw = [&] { return generation.DrawNoise(generation.latents.sizes()); };
  update.latents = generation.sampler->Step(step, GuidedOutput(generation, rows), generation.latents, draw);
  update.latents = generation.conditioning->AfterStep(step, std::move(update.latents));
  if (!generation.IsLastStep()) return update;
  if (!torch::isfinite(update.latents).all().item<bool>()) {
    update.failure = absl::InternalError("the latents are not finite");
  } else if (generation.request.output.latents) {
    update.result = ToFloatTensor(update.latents);
  }
  return update;
}

void Commit(DenoiseUpdate update, KandinskyGeneration& generation) {
  generation.latents = std::move(update.latents);
  generation.sampler->Commit();
  if (generation.IsLastStep()) {
    generation.conditioning.reset();
    if (!update.failure.ok()) {
      generation.Fail(std::move(update.failure));
      return;
    }
    generation.result.latents = std::move(update.result);
  }
  generation.FinishStep();
}

}  // namespace

void RunDenoiseStage(absl::Span<KandinskyGeneration* const> batch) {
  const torch::Tensor rows = PredictNoise(batch);
  DrawsToKeep draws(batch);
  std::vector<DenoiseUpdate> updates;
  int64_t offset = 0;
  for (KandinskyGeneration* generation : batch) {
    const int64_t count = generation->conditioning->rows();
    updates.push_back(ComputeUpdate(*generation, rows.narrow(0, offset, count)));
    offset += count;
  }

  draws.Keep();
  for (size_t i = 0; i < batch.size(); ++i) Commit(std::move(updates[i]), *batch[i]);
}

}  // namespace kandinsky
