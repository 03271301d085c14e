#pragma once

#include <cstdint>
#include <memory>
#include <vector>

#include "absl/status/statusor.h"
#include "pipeline/generation_request.h"
#include "pipeline/samplers/noise_schedule.h"
#include "pipeline/samplers/sampler.h"

namespace kandinsky {

struct SamplerOptions {
  int steps = 50;    // of the whole schedule, also where a sample starts later
  float eta = 0.0f;  // DDIM only; the others have none
};

// What diffusers' scheduler class of that kind gives for a decoder's scheduler file. `kind` is never
// kModelDefault. INVALID_ARGUMENT for configurations, step counts and values of eta that the sampler does not
// support, naming key or field.
absl::StatusOr<std::unique_ptr<Sampler>> MakeDecoderSampler(SamplerKind kind, const SamplerConfig& config,
                                                            const SamplerOptions& options);

// The kinds that `config` permits with a U-Net of that many output channels (4, or 8 with predicted
// variance), in the order of the enumeration.
std::vector<SamplerKind> OfferedSamplers(const SamplerConfig& config, int64_t unet_out_channels);

}  // namespace kandinsky
