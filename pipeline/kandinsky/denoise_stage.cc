#include <optional>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "pipeline/kandinsky/stages.h"

namespace kandinsky {
namespace {

constexpr int64_t kLatentChannels = 4;

// One batched U-Net pass; every generation contributes conditioning->rows() rows at its own time-step.
torch::Tensor PredictNoise(const KandinskyModel& model, absl::Span<KandinskyGeneration* const> batch) {
  std::vector<torch::Tensor> inputs;
  std::vector<UNetConditionRows> conditions;
  for (KandinskyGeneration* generation : batch) {
    Conditioning& conditioning = *generation->conditioning;
    inputs.push_back(conditioning.NetworkInput(generation->latents));
    const Conditioning::TimeSlice time = conditioning.TimeAt(*model.unet, generation->step());
    conditions.push_back({&conditioning.context(), time.time, time.index});
  }
  const torch::Tensor input = torch::cat(inputs).contiguous(at::MemoryFormat::ChannelsLast);
  return model.unet->forward(input, AssembleConditions(conditions));
}

// Classifier-free guidance on the noise channels of one generation's rows. The variance channels of the 2.2
// networks are not used: the published samplers have a fixed variance.
torch::Tensor GuidedNoise(const KandinskyGeneration& generation, const torch::Tensor& rows) {
  const torch::Tensor noise = rows.narrow(1, 0, kLatentChannels).to(torch::kFloat32);
  if (!generation.guided()) return noise.contiguous();
  const torch::Tensor unconditional = noise.narrow(0, 0, 1);
  const torch::Tensor conditional = noise.narrow(0, 1, 1);
  return (unconditional + generation.request.guidance_scale * (conditional - unconditional)).contiguous();
}

// What one step changes about a generation.
struct DenoiseUpdate {
  torch::Tensor latents;
  // After the last step only.
  absl::Status failure;
  std::optional<FloatTensor> result;
};

bool IsLastStep(const KandinskyGeneration& generation) {
  return generation.step() + 1 == generation.sampler->step_count();
}

FloatTensor ToFloatTensor(const torch::Tensor& latents) {
  const torch::Tensor flat = latents.contiguous();
  const float* values = flat.data_ptr<float>();
  return {{flat.size(1), flat.size(2), flat.size(3)}, {values, values + flat.numel()}};
}

DenoiseUpdate ComputeUpdate(KandinskyGeneration& generation, const torch::Tensor& rows) {
  DenoiseUpdate update;
  const auto draw = [&] { return generation.DrawNoise(generation.latents.sizes()); };
  update.latents =
      generation.sampler->Step(generation.step(), GuidedNoise(generation, rows), generation.latents, draw);
  if (!IsLastStep(generation)) return update;
  if (!torch::isfinite(update.latents).all().item<bool>()) {
    update.failure = absl::InternalError("the latents are not finite");
  } else if (generation.request.output.latents) {
    update.result = ToFloatTensor(update.latents);
  }
  return update;
}

void Commit(DenoiseUpdate update, KandinskyGeneration& generation) {
  const bool last = IsLastStep(generation);
  generation.latents = std::move(update.latents);
  generation.FinishStep();
  if (!last) return;
  generation.conditioning.reset();
  if (!update.failure.ok()) {
    generation.Fail(std::move(update.failure));
    return;
  }
  generation.result.latents = std::move(update.result);
  if (generation.request.output.image) {
    generation.EnterStage(Stage::kDecode, "movq");
  } else {
    generation.EnterStage(Stage::kDone, "");
  }
}

}  // namespace

void RunDenoiseStage(const KandinskyModel& model, absl::Span<KandinskyGeneration* const> batch) {
  const torch::Tensor rows = PredictNoise(model, batch);
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
