#include "pipeline/simulated/step_times.h"

#include "pipeline/kandinsky22/request_plan.h"

namespace kandinsky {
namespace {

constexpr double kReferenceLatentArea = 64 * 64;

}  // namespace

absl::Duration SimulatedStepTime(const SimulatedStepTimes& times, const BatchKey& key, int rows) {
  const double guidance = key.guided ? 1 : 0.5;
  const double area = key.latent_height * static_cast<double>(key.latent_width) / kReferenceLatentArea;
  switch (key.stage) {
    case Stage::kEncode:
      if (key.network == kNoNetwork) return absl::ZeroDuration();
      if (area > 0) return absl::Milliseconds(times.decode_ms + times.decode_row_ms * rows * area);
      return absl::Milliseconds(times.encode_ms + times.encode_row_ms * rows);
    case Stage::kPrior:
      return absl::Milliseconds(times.prior_ms + times.prior_row_ms * rows);
    case Stage::kDenoise:
      return absl::Milliseconds(times.denoise_ms + times.denoise_row_ms * rows * guidance * area);
    case Stage::kDecode:
      return absl::Milliseconds(times.decode_ms + times.decode_row_ms * rows * area);
    case Stage::kDone:
      break;
  }
  return absl::ZeroDuration();
}

}  // namespace kandinsky
