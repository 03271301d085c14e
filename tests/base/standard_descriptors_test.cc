#include "base/standard_descriptors.h"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <unistd.h>

namespace kandinsky {
namespace {

class OpenStandardDescriptorsTest : public testing::Test {
 protected:
  OpenStandardDescriptorsTest() { GTEST_FLAG_SET(death_test_style, "threadsafe"); }
};

TEST_F(OpenStandardDescriptorsTest, NoFileGetsTheNumberOfAStandardDescriptor) {
  const auto next_number_is_low = [] {
    close(STDIN_FILENO);
    close(STDOUT_FILENO);
    close(STDERR_FILENO);
    OpenStandardDescriptors();
    _exit(open("/dev/null", O_RDONLY) > STDERR_FILENO ? 7 : 1);
  };
  EXPECT_EXIT(next_number_is_low(), testing::ExitedWithCode(7), "");
}

TEST_F(OpenStandardDescriptorsTest, LeavesOpenOnesAlone) {
  const auto still_there = [] {
    close(STDIN_FILENO);
    OpenStandardDescriptors();
    dprintf(STDERR_FILENO, "still there");
    _exit(7);
  };
  EXPECT_EXIT(still_there(), testing::ExitedWithCode(7), "still there");
}

}  // namespace
}  // namespace kandinsky
