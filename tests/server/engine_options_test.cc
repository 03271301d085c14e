#include "server/engine_options.h"

#include <gtest/gtest.h>

#include "server/config.h"

namespace kandinsky::server {
namespace {

TEST(EngineOptions, TakeEveryFieldOfTheConfiguration) {
  v1::EngineConfig config;
  config.set_max_queued_requests(11);
  config.set_max_batch_rows(12);
  config.set_max_batch_latent_pixels(13);
  config.set_max_active_generations(14);
  config.set_batch_mode(v1::BATCH_MODE_STRICT);
  config.set_max_queued_seconds(15);
  config.set_priority_ageing_seconds(16);
  config.set_batch_delay_seconds(0.017);
  config.set_preferred_batch_rows(18);
  config.set_max_times_passed_over(19);
  config.set_max_batch_memory_bytes(20);
  const EngineOptions options = ToEngineOptions(config, 1000);
  EXPECT_EQ(options.max_queued_requests, 11u);
  EXPECT_EQ(options.max_batch_rows, 12);
  EXPECT_EQ(options.max_batch_latent_pixels, 13);
  EXPECT_EQ(options.max_active_generations, 14);
  EXPECT_EQ(options.batch_mode, BatchMode::kStrict);
  EXPECT_EQ(options.max_queued_time, absl::Seconds(15));
  EXPECT_EQ(options.priority_ageing, absl::Seconds(16));
  EXPECT_EQ(options.batch_delay, absl::Milliseconds(17));
  EXPECT_EQ(options.preferred_batch_rows, 18);
  EXPECT_EQ(options.max_times_passed_over, 19);
  EXPECT_EQ(options.max_batch_memory_bytes, 20);
}

TEST(EngineOptions, AreThoseOfTheEngineByDefault) {
  const EngineOptions options = ToEngineOptions(WithDefaults({}).engine(), 1000);
  const EngineOptions defaults;
  EXPECT_EQ(options.max_queued_requests, defaults.max_queued_requests);
  EXPECT_EQ(options.max_batch_rows, defaults.max_batch_rows);
  EXPECT_EQ(options.max_batch_latent_pixels, defaults.max_batch_latent_pixels);
  EXPECT_EQ(options.max_active_generations, defaults.max_active_generations);
  EXPECT_EQ(options.batch_mode, defaults.batch_mode);
  EXPECT_EQ(options.priority_ageing, defaults.priority_ageing);
  EXPECT_EQ(options.batch_delay, defaults.batch_delay);
  EXPECT_EQ(options.preferred_batch_rows, defaults.preferred_batch_rows);
  EXPECT_EQ(options.max_times_passed_over, defaults.max_times_passed_over);
}

TEST(EngineOptions, LeaveAFifthOfTheMemoryWhenTheBatchMemoryIsNotConfigured) {
  v1::EngineConfig config = WithDefaults({}).engine();
  config.set_max_batch_memory_bytes(0);
  EXPECT_EQ(ToEngineOptions(config, 1000).max_batch_memory_bytes, 800);
  EXPECT_EQ(ToEngineOptions(config, 0).max_batch_memory_bytes, 1);
  EXPECT_GT(ToEngineOptions(config, INT64_MAX).max_batch_memory_bytes, INT64_MAX / 5 * 3);
}

}  // namespace
}  // namespace kandinsky::server
