#include "server/refusal_log.h"

#include <gtest/gtest.h>

#include "tests/fakes/fake_clock.h"

namespace kandinsky::server {
namespace {

TEST(RefusalLog, WritesTheFirstAndThenOneLineInTenSeconds) {
  FakeClock clock;
  RefusalLog log(clock);
  for (int i = 0; i < 1000; ++i) log.Add("unknown", "UNIMPLEMENTED", "UNKNOWN_METHOD");
  EXPECT_EQ(log.lines(), 1);
  EXPECT_EQ(log.untold(), 999);
  clock.Advance(absl::Seconds(9));
  log.Add("unknown", "UNIMPLEMENTED", "UNKNOWN_METHOD");
  EXPECT_EQ(log.lines(), 1);
  clock.Advance(absl::Seconds(1));
  log.Add("GenerateImages", "RESOURCE_EXHAUSTED", "MESSAGE_TOO_LARGE", 3);
  EXPECT_EQ(log.lines(), 2);
  EXPECT_EQ(log.untold(), 0);
}

}  // namespace
}  // namespace kandinsky::server
