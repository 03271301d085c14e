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

void FinishDenoise(KandinskyGeneration& generation) {
  generation.conditioning.reset();
  if (!torch::isfinite(generation.latents).all().item<bool>()) {
    generation.Fail(absl::InternalError("the latents are not finite"));
    return;
  }
  if (generation.request.output.latents) {
    const torch::Tensor flat = generation.latents.contiguous();
    const float* values = flat.data_ptr<float>();
    generation.result.latents =
        FloatTensor{{flat.size(1), flat.size(2), flat.size(3)}, {values, values + flat.numel()}};
  }
  if (generation.request.output.image) {
    generation.EnterStage(Stage::kDecode, "movq");
  } else {
    generation.EnterStage(Stage::kDone, "");
  }
}

}  // namespace

void RunDenoiseStage(const KandinskyModel& model, absl::Span<KandinskyGeneration* const> batch) {
  const torch::Tensor rows = PredictNoise(model, batch);
  int64_t offset = 0;
  for (KandinskyGeneration* generation : batch) {
    const int64_t count = generation->conditioning->rows();
    const torch::Tensor noise = GuidedNoise(*generation, rows.narrow(0, offset, count));
    offset += count;
    generation->latents = generation->sampler->Step(generation->step(), noise, generation->latents, [&] {
      return generation->DrawNoise(generation->latents.sizes());
    });
    generation->FinishStep();
    if (generation->step() == generation->sampler->step_count()) FinishDenoise(*generation);
  }
}

}  // namespace kandinsky
