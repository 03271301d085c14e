#include "pipeline/samplers/decoder_sampler.h"

#include "absl/status/status.h"

namespace kandinsky {
namespace {

constexpr int64_t kChannelsWithVariance = 8;

}  // namespace

absl::StatusOr<std::unique_ptr<Sampler>> MakeDecoderSampler(SamplerKind kind, const SamplerConfig& config,
                                                            const SamplerOptions& options) {
  switch (kind) {
    case SamplerKind::kDdpm:
      return MakeDdpmSampler(config, options.steps);
    case SamplerKind::kDdim:
      return MakeDdimSampler(config, options.steps, options.eta);
    case SamplerKind::kDdpmLearnedRange:
      return MakeDdpmLearnedRangeSampler(config, options.steps);
    case SamplerKind::kEuler:
      return MakeEulerSampler(config, options.steps);
    case SamplerKind::kEulerAncestral:
      return MakeEulerAncestralSampler(config, options.steps);
    case SamplerKind::kDpmSolverMultistep:
      return MakeDpmSolverMultistepSampler(config, options.steps);
    case SamplerKind::kModelDefault:
      break;
  }
  return absl::InvalidArgumentError("the sampler is none of the known ones");
}

std::vector<SamplerKind> OfferedSamplers(const SamplerConfig& config, int64_t unet_out_channels) {
  std::vector<SamplerKind> offered;
  for (const SamplerKind kind :
       {SamplerKind::kDdpm, SamplerKind::kDdim, SamplerKind::kDdpmLearnedRange, SamplerKind::kEuler,
        SamplerKind::kEulerAncestral, SamplerKind::kDpmSolverMultistep}) {
    const auto sampler = MakeDecoderSampler(kind, config, {.steps = 1});
    if (!sampler.ok()) continue;
    if ((*sampler)->uses_predicted_variance() && unet_out_channels != kChannelsWithVariance) continue;
    offered.push_back(kind);
  }
  return offered;
}

}  // namespace kandinsky
