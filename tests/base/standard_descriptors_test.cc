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

TEST_F(OpenStandardDescriptorsTest, AStandardOutputThatWasClosedStaysLost) {
  const auto lost = [] {
    close(STDOUT_FILENO);
    OpenStandardDescriptors();
    dprintf(STDERR_FILENO, "%s", WriteStandardOutput("x").ToString().c_str());
    _exit(7);
  };
  EXPECT_EXIT(lost(), testing::ExitedWithCode(7), "cannot write to the standard output: Bad file descriptor");
}

TEST_F(OpenStandardDescriptorsTest, AFullStandardOutputIsAnErrorWithItsReason) {
  const auto full = [] {
    dup2(open("/dev/full", O_WRONLY), STDOUT_FILENO);
    dprintf(STDERR_FILENO, "%s", WriteStandardOutput("x").ToString().c_str());
    _exit(7);
  };
  EXPECT_EXIT(full(), testing::ExitedWithCode(7),
              "cannot write to the standard output: No space left on device");
}

}  // namespace
}  // namespace kandinsky
