#include "server/process_memory.h"

#include <gtest/gtest.h>
#include <unistd.h>

#include <filesystem>
#include <fstream>

namespace kandinsky {
namespace {

namespace fs = std::filesystem;

// A root folder with the files of one case.
class ProcessMemory : public testing::Test {
 protected:
  ProcessMemory() {
    const auto* info = testing::UnitTest::GetInstance()->current_test_info();
    root_ = fs::temp_directory_path() /
            (std::string("process_memory_") + info->name() + "_" + std::to_string(getpid()));
    fs::create_directories(root_);
  }
  ~ProcessMemory() override { fs::remove_all(root_); }

  void Write(const std::string& path, const std::string& text) const {
    fs::create_directories((root_ / path).parent_path());
    std::ofstream(root_ / path) << text;
  }

  void WriteMachine(const std::string& available_kilobytes) const {
    Write("proc/meminfo", "MemTotal:       99999999 kB\nMemFree:             1 kB\nMemAvailable:   " +
                              available_kilobytes + " kB\n");
  }

  int64_t Available() const { return AvailableMemoryBytes(root_); }

  fs::path root_;
};

TEST_F(ProcessMemory, IsUnboundedWhenNothingIsKnown) { EXPECT_EQ(Available(), INT64_MAX); }

TEST_F(ProcessMemory, IsWhatTheMachineHasAvailable) {
  WriteMachine("1000");
  EXPECT_EQ(Available(), 1000 * 1024);
}

TEST_F(ProcessMemory, IsWhatTheControlGroupLeavesOverWithIdleCacheFree) {
  WriteMachine("1000000");
  Write("proc/self/cgroup", "0::/pod/server\n");
  Write("sys/fs/cgroup/pod/server/memory.max", "5000000\n");
  Write("sys/fs/cgroup/pod/server/memory.current", "3000000\n");
  Write("sys/fs/cgroup/pod/server/memory.stat",
        "anon 1\nfile 2000000\ninactive_file 1000000\nactive_file 5\n");
  EXPECT_EQ(Available(), 5000000 - 2000000);
}

TEST_F(ProcessMemory, IsBoundedByEveryParentOfTheGroup) {
  Write("proc/self/cgroup", "0::/pod/server\n");
  Write("sys/fs/cgroup/pod/server/memory.max", "max\n");
  Write("sys/fs/cgroup/pod/server/memory.current", "10\n");
  Write("sys/fs/cgroup/pod/memory.max", "700\n");
  Write("sys/fs/cgroup/pod/memory.current", "300\n");
  EXPECT_EQ(Available(), 400);
}

TEST_F(ProcessMemory, IsThatOfTheMountInAContainerThatSeesThePathOfItsHost) {
  Write("proc/self/cgroup", "0::/system.slice/of-the-host\n");
  Write("sys/fs/cgroup/memory.max", "900\n");
  Write("sys/fs/cgroup/memory.current", "100\n");
  EXPECT_EQ(Available(), 800);
}

TEST_F(ProcessMemory, KnowsVersionOneOfControlGroups) {
  Write("proc/self/cgroup", "12:cpu,cpuacct:/a\n5:memory:/a\n0::/\n");
  Write("sys/fs/cgroup/memory/a/memory.limit_in_bytes", "8000\n");
  Write("sys/fs/cgroup/memory/a/memory.usage_in_bytes", "5000\n");
  Write("sys/fs/cgroup/memory/a/memory.stat", "cache 4000\ninactive_file 1\ntotal_inactive_file 2000\n");
  Write("sys/fs/cgroup/memory/memory.limit_in_bytes", "9223372036854771712\n");
  Write("sys/fs/cgroup/memory/memory.usage_in_bytes", "5000\n");
  EXPECT_EQ(Available(), 8000 - 3000);
}

TEST_F(ProcessMemory, IsWhatTheAddressSpaceLimitLeavesOver) {
  WriteMachine("1000000");
  Write("proc/self/status", "Name:\tserver\nVmPeak:\t 999 kB\nVmSize:\t     100 kB\n");
  const std::string header =
      "Limit                     Soft Limit           Hard Limit           Units     \n";
  Write("proc/self/limits",
        header + "Max address space         409600               unlimited            bytes     \n");
  EXPECT_EQ(Available(), 400 * 1024 - 100 * 1024);
  Write("proc/self/limits",
        header + "Max address space         unlimited            unlimited            bytes     \n");
  EXPECT_EQ(Available(), 1000000 * 1024);
}

TEST_F(ProcessMemory, IsZeroAboveALimit) {
  Write("proc/self/cgroup", "0::/\n");
  Write("sys/fs/cgroup/memory.max", "100\n");
  Write("sys/fs/cgroup/memory.current", "300\n");
  EXPECT_EQ(Available(), 0);
}

TEST_F(ProcessMemory, IgnoresWhatItCannotRead) {
  WriteMachine("1000");
  Write("proc/self/cgroup", "nonsense\n0::/\n");
  Write("sys/fs/cgroup/memory.max", "much\n");
  Write("sys/fs/cgroup/memory.current", "300\n");
  Write("proc/self/limits", "Max address space\n");
  EXPECT_EQ(Available(), 1000 * 1024);
}

TEST(ProcessMemoryOfThisProcess, IsKnownAndPositive) {
  EXPECT_GT(AvailableMemoryBytes(), 0);
  EXPECT_LT(AvailableMemoryBytes(), INT64_MAX);
}

}  // namespace
}  // namespace kandinsky
