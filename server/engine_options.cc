#include "server/engine_options.h"

#include <algorithm>
#include <cstddef>

#include "absl/time/time.h"

namespace kandinsky::server {
namespace {

int64_t BatchMemory(int64_t configured, int64_t available_bytes) {
  // The fifth that is left is for what the estimates of the pipeline do not know, and for results.
  return configured > 0 ? configured : std::max<int64_t>(1, available_bytes / 5 * 4);
}

}  // namespace

EngineOptions ToEngineOptions(const v1::EngineConfig& config, int64_t available_bytes) {
  return {
      .batch_mode = config.batch_mode() == v1::BATCH_MODE_STRICT ? BatchMode::kStrict : BatchMode::kShape,
      .max_queued_requests = static_cast<size_t>(config.max_queued_requests()),
      .max_queued_time = absl::Seconds(config.max_queued_seconds()),
      .priority_ageing = absl::Seconds(config.priority_ageing_seconds()),
      .max_batch_rows = config.max_batch_rows(),
      .max_batch_latent_pixels = config.max_batch_latent_pixels(),
      .max_batch_memory_bytes = BatchMemory(config.max_batch_memory_bytes(), available_bytes),
      .max_active_generations = config.max_active_generations(),
      .max_times_passed_over = config.max_times_passed_over(),
      .preferred_batch_rows = config.preferred_batch_rows(),
      .batch_delay = absl::Seconds(config.batch_delay_seconds()),
  };
}

}  // namespace kandinsky::server
