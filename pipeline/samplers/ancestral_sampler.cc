// DDPM and UnCLIP: both draw from the posterior q(x_previous | x_t, x_0). They differ in the time-steps, in
// how diffusers rounds beta between neighboring time-steps, and in the standard deviation.
#include <algorithm>
#include <cmath>
#include <utility>

#include "absl/status/status.h"
#include "absl/strings/str_cat.h"
#include "base/status_macros.h"
#include "pipeline/samplers/sampler.h"
#include "pipeline/samplers/step_terms.h"

namespace kandinsky {
namespace {

enum class Variance { kFixedSmall, kLearnedRange, kUnclip };

enum Coefficient : size_t {
  kCleanWeight = kCleanCoefficients,
  kSampleWeight,
  kDeviation,
  kLogSmallest = kDeviation,  // where the network predicts the variance
  kLogLargest,
};

// e to the elements, in place. On the CPU row by row: the library divides a tensor among threads and vectors
// by its whole size, and a row's bits must not depend on the rows beside it.
torch::Tensor ExpByRow(torch::Tensor rows) {
  if (!rows.is_cpu()) return rows.exp_();
  for (torch::Tensor& row : rows.unbind()) row.exp_();
  return rows;
}

// `share` is -1 for the smallest variance and 1 for the largest; networks may go beyond.
torch::Tensor PredictedDeviation(const torch::Tensor& share, const torch::Tensor& log_smallest,
                                 const torch::Tensor& log_largest) {
  const torch::Tensor fraction = (share + 1).div_(2);
  const torch::Tensor log_variance = (fraction * log_largest).add_((1 - fraction) * log_smallest);
  return ExpByRow(0.5 * log_variance);
}

StepResult AncestralStep(const StepInputs& inputs) {
  const std::vector<torch::Tensor>& c = inputs.coefficients;
  const torch::Tensor clean = PredictCleanSample(inputs);
  torch::Tensor next = (c[kCleanWeight] * clean).add_(c[kSampleWeight] * inputs.sample);
  if (inputs.rule.draws_noise) {
    const torch::Tensor deviation =
        inputs.rule.reads_variance
            ? PredictedDeviation(inputs.variance.contiguous(), c[kLogSmallest], c[kLogLargest])
            : c[kDeviation];
    next.add_(deviation * inputs.noise);
  }
  return {.next = std::move(next)};
}

class AncestralSampler : public Sampler {
 public:
  AncestralSampler(SamplerConfig config, NoiseSchedule schedule, std::vector<int> timesteps,
                   Variance variance)
      : Sampler(timesteps),
        config_(std::move(config)),
        schedule_(std::move(schedule)),
        timesteps_(std::move(timesteps)),
        variance_(variance) {}

  bool uses_predicted_variance() const override { return variance_ == Variance::kLearnedRange; }

  NoiseMixture MixtureAt(int index) const override {
    return schedule_.MixtureAt(timesteps_[static_cast<size_t>(index)]);
  }

  StepTerms TermsAt(int index) const override {
    const int timestep = timesteps_[static_cast<size_t>(index)];
    const int previous = index + 1 < step_count() ? timesteps_[static_cast<size_t>(index) + 1] : -1;
    const float alpha_cumprod = schedule_.alpha_cumprod_or(timestep, 1.0f);
    const float alpha_cumprod_previous = schedule_.alpha_cumprod_or(previous, 1.0f);
    const float beta_cumprod = 1.0f - alpha_cumprod;
    const float beta_cumprod_previous = 1.0f - alpha_cumprod_previous;
    const auto [alpha, beta] = Rates(timestep, previous, alpha_cumprod / alpha_cumprod_previous);

    StepTerms terms{.rule = {.function = AncestralStep,
                             .predicts_noise = config_.prediction_type == "epsilon",
                             .clip = ClipOf(config_)},
                    .coefficients = {std::sqrt(beta_cumprod), std::sqrt(alpha_cumprod),
                                     std::sqrt(alpha_cumprod_previous) * beta / beta_cumprod,
                                     std::sqrt(alpha) * beta_cumprod_previous / beta_cumprod}};
    if (timestep == 0) return terms;
    // The published decoders end at time-step 1, so the last step does draw noise, scaled by 1e-10 where the
    // variance is fixed.
    terms.rule.draws_noise = true;
    terms.rule.reads_variance = uses_predicted_variance();
    const float variance = std::max(beta_cumprod_previous / beta_cumprod * beta, 1e-20f);
    if (terms.rule.reads_variance) {
      terms.coefficients.push_back(std::log(variance));
      terms.coefficients.push_back(std::log(beta));
    } else {
      terms.coefficients.push_back(StandardDeviation(variance));
    }
    return terms;
  }

 private:
  struct AlphaBeta {
    float alpha;
    float beta;
  };

  AlphaBeta Rates(int timestep, int previous, float alpha) const {
    if (variance_ != Variance::kUnclip) return {alpha, 1.0f - alpha};
    const float beta =
        previous == timestep - 1 ? schedule_.betas[static_cast<size_t>(timestep)] : 1.0f - alpha;
    return {1.0f - beta, beta};
  }

  float StandardDeviation(float variance) const {
    return variance_ == Variance::kUnclip ? std::exp(0.5f * std::log(variance)) : std::sqrt(variance);
  }

  const SamplerConfig config_;
  const NoiseSchedule schedule_;
  const std::vector<int> timesteps_;
  const Variance variance_;
};

absl::Status CheckVarianceType(const SamplerConfig& config, const char* supported) {
  if (config.variance_type == supported) return absl::OkStatus();
  return absl::InvalidArgumentError(
      absl::StrCat("variance_type \"", config.variance_type, "\" is not ", supported));
}

absl::StatusOr<std::unique_ptr<Sampler>> MakeDdpm(const SamplerConfig& config, int steps, Variance variance) {
  RETURN_IF_ERROR(CheckSamplerConfig(config));
  ASSIGN_OR_RETURN(NoiseSchedule schedule, MakeNoiseSchedule(config));
  ASSIGN_OR_RETURN(std::vector<int> timesteps, SpacedTimesteps(config, steps));
  return std::make_unique<AncestralSampler>(config, std::move(schedule), std::move(timesteps), variance);
}

}  // namespace

absl::StatusOr<std::unique_ptr<Sampler>> MakeDdpmSampler(const SamplerConfig& config, int steps) {
  RETURN_IF_ERROR(CheckVarianceType(config, "fixed_small"));
  return MakeDdpm(config, steps, Variance::kFixedSmall);
}

absl::StatusOr<std::unique_ptr<Sampler>> MakeDdpmLearnedRangeSampler(const SamplerConfig& config, int steps) {
  if (config.variance_type == "learned") {
    return absl::InvalidArgumentError("variance_type \"learned\" is not learned_range or a fixed one");
  }
  return MakeDdpm(config, steps, Variance::kLearnedRange);
}

absl::StatusOr<std::unique_ptr<Sampler>> MakeUnclipSampler(const SamplerConfig& config, int steps) {
  RETURN_IF_ERROR(CheckSamplerConfig(config));
  RETURN_IF_ERROR(CheckVarianceType(config, "fixed_small_log"));
  ASSIGN_OR_RETURN(NoiseSchedule schedule, MakeNoiseSchedule(config));
  if (steps < 2 || steps > config.num_train_timesteps) {
    return absl::InvalidArgumentError(
        absl::StrCat("prior_steps must be within 2..", config.num_train_timesteps, ", got ", steps));
  }
  SamplerConfig spacing = config;
  spacing.timestep_spacing = "linspace";
  ASSIGN_OR_RETURN(std::vector<int> timesteps, SpacedTimesteps(spacing, steps));
  return std::make_unique<AncestralSampler>(config, std::move(schedule), std::move(timesteps),
                                            Variance::kUnclip);
}

}  // namespace kandinsky
