#include <cmath>
#include <utility>

#include "absl/status/status.h"
#include "base/status_macros.h"
#include "pipeline/samplers/sampler.h"

namespace kandinsky {
namespace {

class DdimSampler : public Sampler {
 public:
  DdimSampler(SamplerConfig config, NoiseSchedule schedule, std::vector<int> timesteps, float eta)
      : Sampler(timesteps),
        config_(std::move(config)),
        schedule_(std::move(schedule)),
        timesteps_(std::move(timesteps)),
        eta_(eta) {}

  torch::Tensor AddNoise(const torch::Tensor& clean, const torch::Tensor& noise, int index) const override {
    return DiffuseCleanSample(schedule_.alpha_cumprod_or(timesteps_[static_cast<size_t>(index)], 1.0f), clean,
                              noise);
  }

  torch::Tensor Step(int index, const torch::Tensor& model_output, const torch::Tensor& sample,
                     NoiseSource noise) override {
    const int timestep = timesteps_[static_cast<size_t>(index)];
    // Not the next entry of the list: diffusers' DDIM subtracts the stride.
    const int previous = timestep - config_.num_train_timesteps / step_count();
    const float final_alpha = config_.set_alpha_to_one ? 1.0f : schedule_.alphas_cumprod.front();
    const float alpha_cumprod = schedule_.alpha_cumprod_or(timestep, 1.0f);
    const float alpha_cumprod_previous = schedule_.alpha_cumprod_or(previous, final_alpha);
    const float beta_cumprod = 1.0f - alpha_cumprod;

    const torch::Tensor clean = PredictCleanSample(config_, alpha_cumprod, model_output, sample);
    // The un-clipped prediction gives the direction, as in diffusers (use_clipped_model_output false).
    const torch::Tensor epsilon = config_.prediction_type == "epsilon"
                                      ? model_output
                                      : (sample - std::sqrt(alpha_cumprod) * clean) / std::sqrt(beta_cumprod);
    const float variance =
        (1.0f - alpha_cumprod_previous) / beta_cumprod * (1.0f - alpha_cumprod / alpha_cumprod_previous);
    const float deviation = eta_ * std::sqrt(variance);
    const float direction = std::sqrt(1.0f - alpha_cumprod_previous - deviation * deviation);
    torch::Tensor next = std::sqrt(alpha_cumprod_previous) * clean + direction * epsilon;
    if (eta_ > 0) next = next + deviation * noise();
    return next;
  }

 private:
  const SamplerConfig config_;
  const NoiseSchedule schedule_;
  const std::vector<int> timesteps_;
  const float eta_;
};

}  // namespace

absl::StatusOr<std::unique_ptr<Sampler>> MakeDdimSampler(const SamplerConfig& config, int steps, float eta) {
  RETURN_IF_ERROR(CheckSamplerConfig(config));
  RETURN_IF_ERROR(CheckFixedVariance(config));
  if (!(eta >= 0.0f && eta <= 1.0f)) return absl::InvalidArgumentError("eta must be within 0..1");
  ASSIGN_OR_RETURN(NoiseSchedule schedule, MakeNoiseSchedule(config));
  ASSIGN_OR_RETURN(std::vector<int> timesteps, SpacedTimesteps(config, steps));
  return std::make_unique<DdimSampler>(config, std::move(schedule), std::move(timesteps), eta);
}

}  // namespace kandinsky
