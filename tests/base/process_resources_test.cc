#include "base/process_resources.h"

#include <gtest/gtest.h>
#include <sched.h>
#include <unistd.h>

#include <cstdint>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <map>
#include <optional>
#include <ostream>
#include <string>
#include <thread>
#include <vector>

namespace kandinsky {
namespace {

namespace fs = std::filesystem;

// Path below the root -> text.
using Files = std::map<std::string, std::string>;

// A root folder with made-up proc/ and sys/.
class Root {
 public:
  explicit Root(const Files& files) {
    std::string name = (fs::temp_directory_path() / "process_resources_XXXXXX").string();
    root_ = ::mkdtemp(name.data());
    for (const auto& [path, text] : files) {
      fs::create_directories((root_ / path).parent_path());
      std::ofstream(root_ / path) << text;
    }
  }
  ~Root() { fs::remove_all(root_); }
  Root(const Root&) = delete;
  Root& operator=(const Root&) = delete;

  std::string path() const { return root_.string(); }

 private:
  fs::path root_;
};

const std::string kUnifiedMount =
    "30 23 0:26 / /sys/fs/cgroup rw,nosuid,nodev,noexec,relatime shared:4 - cgroup2 cgroup2 rw,nsdelegate\n";
const std::string kCpuMount =
    "33 31 0:30 / /sys/fs/cgroup/cpu,cpuacct rw,relatime shared:9 - cgroup cgroup rw,cpu,cpuacct\n";
const std::string kMemoryMount =
    "35 31 0:32 / /sys/fs/cgroup/memory rw,relatime shared:10 - cgroup cgroup rw,memory\n";
const std::string kOtherMounts =
    "23 28 0:21 / /proc rw,nosuid - proc proc rw\n31 23 0:28 / /sys/fs/cgroup rw - tmpfs tmpfs rw,mode=755\n"
    "34 31 0:31 / /sys/fs/cgroup/cpuset rw - cgroup cgroup rw,cpuset\n"
    "40 31 0:37 / /sys/fs/cgroup/systemd rw - cgroup cgroup rw,name=systemd\n";

// The folder of a container that is mounted as if it were the whole hierarchy.
std::string MountOf(const std::string& group, const std::string& folder, const std::string& type,
                    const std::string& options) {
  return "35 31 0:32 " + group + " " + folder + " ro,relatime master:5 - " + type + " cgroup " + options +
         "\n";
}

struct CpuCase {
  std::string name;
  Files files;
  std::optional<int> cpus;
};

void PrintTo(const CpuCase& test_case, std::ostream* out) { *out << test_case.name; }

std::vector<CpuCase> CpuCases() {
  const Files unified = {{"proc/self/mountinfo", kOtherMounts + kUnifiedMount},
                         {"proc/self/cgroup", "0::/pod/server\n"}};
  const Files version1 = {{"proc/self/mountinfo", kOtherMounts + kCpuMount},
                          {"proc/self/cgroup", "5:cpuset:/other\n4:cpu,cpuacct:/pod/server\n"}};
  const auto with = [](Files files, const Files& more) {
    for (const auto& [path, text] : more) files[path] = text;
    return files;
  };
  const std::string own = "sys/fs/cgroup/pod/server/";
  const std::string own1 = "sys/fs/cgroup/cpu,cpuacct/pod/server/";
  return {
      {"NothingKnown", {}, std::nullopt},
      {"UnifiedWithoutFiles", unified, std::nullopt},
      {"UnifiedMax", with(unified, {{own + "cpu.max", "max 100000\n"}}), std::nullopt},
      {"UnifiedWhole", with(unified, {{own + "cpu.max", "300000 100000\n"}}), 3},
      {"UnifiedFractionRoundsUp", with(unified, {{own + "cpu.max", "250000 100000\n"}}), 3},
      {"UnifiedLessThanOneIsOne", with(unified, {{own + "cpu.max", "5000 100000\n"}}), 1},
      {"UnifiedParentIsSmaller",
       with(unified,
            {{own + "cpu.max", "800000 100000\n"}, {"sys/fs/cgroup/pod/cpu.max", "150000 100000\n"}}),
       2},
      {"UnifiedParentIsLarger",
       with(unified, {{own + "cpu.max", "100000 50000\n"}, {"sys/fs/cgroup/pod/cpu.max", "900000 100000\n"}}),
       2},
      {"UnifiedMountIsBounded", with(unified, {{"sys/fs/cgroup/cpu.max", "400000 100000\n"}}), 4},
      {"UnifiedNonsense", with(unified, {{own + "cpu.max", "many 100000\n"}}), std::nullopt},
      {"UnifiedZeroPeriod", with(unified, {{own + "cpu.max", "100000 0\n"}}), std::nullopt},
      {"Version1",
       with(version1, {{own1 + "cpu.cfs_quota_us", "150000\n"}, {own1 + "cpu.cfs_period_us", "100000\n"}}),
       2},
      {"Version1NoQuota",
       with(version1, {{own1 + "cpu.cfs_quota_us", "-1\n"}, {own1 + "cpu.cfs_period_us", "100000\n"}}),
       std::nullopt},
      {"Version1ParentIsSmaller",
       with(version1, {{own1 + "cpu.cfs_quota_us", "-1\n"},
                       {own1 + "cpu.cfs_period_us", "100000\n"},
                       {"sys/fs/cgroup/cpu,cpuacct/pod/cpu.cfs_quota_us", "200000\n"},
                       {"sys/fs/cgroup/cpu,cpuacct/pod/cpu.cfs_period_us", "50000\n"}}),
       4},
      {"Hybrid",
       {{"proc/self/mountinfo",
         kOtherMounts + kCpuMount + "41 31 0:38 / /sys/fs/cgroup/unified rw - cgroup2 cgroup2 rw\n"},
        {"proc/self/cgroup", "4:cpu,cpuacct:/a\n1:name=systemd:/a\n0::/a\n"},
        {"sys/fs/cgroup/unified/a/cgroup.procs", "1\n"},
        {"sys/fs/cgroup/cpu,cpuacct/a/cpu.cfs_quota_us", "500000\n"},
        {"sys/fs/cgroup/cpu,cpuacct/a/cpu.cfs_period_us", "100000\n"}},
       5},
      {"ContainerSeesItsOwnNamespace",
       {{"proc/self/mountinfo", kUnifiedMount},
        {"proc/self/cgroup", "0::/\n"},
        {"sys/fs/cgroup/cpu.max", "200000 100000\n"}},
       2},
      {"ContainerWithThePathOfItsHost",
       {{"proc/self/mountinfo", MountOf("/docker/abc", "/sys/fs/cgroup/cpu", "cgroup", "rw,cpu")},
        {"proc/self/cgroup", "4:cpu:/docker/abc/inner\n"},
        {"sys/fs/cgroup/cpu/cpu.cfs_quota_us", "600000\n"},
        {"sys/fs/cgroup/cpu/cpu.cfs_period_us", "100000\n"},
        {"sys/fs/cgroup/cpu/inner/cpu.cfs_quota_us", "300000\n"},
        {"sys/fs/cgroup/cpu/inner/cpu.cfs_period_us", "100000\n"}},
       3},
      {"ContainerWithAPathThatIsNotUnderTheMount",
       {{"proc/self/mountinfo", MountOf("/docker/abc", "/sys/fs/cgroup", "cgroup2", "rw")},
        {"proc/self/cgroup", "0::/docker/abcd\n"},
        {"sys/fs/cgroup/cpu.max", "700000 100000\n"}},
       7},
      {"GroupOutsideOfTheNamespace",
       {{"proc/self/mountinfo", kUnifiedMount},
        {"proc/self/cgroup", "0::/../other\n"},
        {"sys/fs/cgroup/cpu.max", "300000 100000\n"},
        {"sys/fs/other/cpu.max", "100000 100000\n"}},
       3},
      {"MountWithABlankInItsName",
       {{"proc/self/mountinfo", MountOf("/", "/my\\040groups", "cgroup2", "rw")},
        {"proc/self/cgroup", "0::/a\n"},
        {"my groups/a/cpu.max", "200000 100000\n"}},
       2},
      {"NonsenseInProc",
       {{"proc/self/mountinfo", "nonsense\n1 2 - cgroup2\n" + kUnifiedMount},
        {"proc/self/cgroup", "nonsense\n0::/a:b\n"},
        {"sys/fs/cgroup/a:b/cpu.max", "200000 100000\n"}},
       2},
  };
}

class CpuQuotaTest : public testing::TestWithParam<CpuCase> {};

TEST_P(CpuQuotaTest, IsTheSmallestOfTheGroupAndItsParents) {
  const Root root(GetParam().files);
  EXPECT_EQ(CpuQuota(root.path()), GetParam().cpus);
}

INSTANTIATE_TEST_SUITE_P(Machines, CpuQuotaTest, testing::ValuesIn(CpuCases()),
                         [](const auto& info) { return info.param.name; });

TEST(AvailableCpusTest, AreThoseOfTheAffinityMaskOfTheThread) {
  const Root root({});
  EXPECT_GE(AvailableCpus(root.path()), 1);
  std::thread([&] {
    cpu_set_t one;
    CPU_ZERO(&one);
    CPU_SET(::sched_getcpu(), &one);
    ASSERT_EQ(::sched_setaffinity(0, sizeof(one), &one), 0);
    EXPECT_EQ(AvailableCpus(root.path()), 1);
  }).join();
}

TEST(AvailableCpusTest, AreBoundedByTheQuota) {
  const Root root({{"proc/self/mountinfo", kUnifiedMount},
                   {"proc/self/cgroup", "0::/\n"},
                   {"sys/fs/cgroup/cpu.max", "1000 100000\n"}});
  EXPECT_EQ(AvailableCpus(root.path()), 1);
}

struct MemoryCase {
  std::string name;
  Files files;
  int64_t bytes = 0;
};

void PrintTo(const MemoryCase& test_case, std::ostream* out) { *out << test_case.name; }

std::string MemInfo(const std::string& available_kilobytes) {
  return "MemTotal:       99999999 kB\nMemFree:             1 kB\nMemAvailable:   " + available_kilobytes +
         " kB\n";
}

std::string Limits(const std::string& soft_limit) {
  return "Limit                     Soft Limit           Hard Limit           Units     \nMax address space  "
         "       " +
         soft_limit + "               unlimited            bytes     \n";
}

std::vector<MemoryCase> MemoryCases() {
  const std::string status = "Name:\tserver\nVmPeak:\t 999 kB\nVmSize:\t     100 kB\n";
  const std::string own1 = "sys/fs/cgroup/memory/a/memory.";
  return {
      {"NothingKnown", {}, INT64_MAX},
      {"Machine", {{"proc/meminfo", MemInfo("1000")}}, 1000 * 1024},
      {"GroupWithIdleCacheFree",
       {{"proc/meminfo", MemInfo("1000000")},
        {"proc/self/mountinfo", kUnifiedMount},
        {"proc/self/cgroup", "0::/pod/server\n"},
        {"sys/fs/cgroup/pod/server/memory.max", "5000000\n"},
        {"sys/fs/cgroup/pod/server/memory.current", "3000000\n"},
        {"sys/fs/cgroup/pod/server/memory.stat",
         "anon 1\nfile 2000000\ninactive_file 1000000\nactive_file 5\n"}},
       5000000 - 2000000},
      {"EveryParentOfTheGroup",
       {{"proc/self/mountinfo", kUnifiedMount},
        {"proc/self/cgroup", "0::/pod/server\n"},
        {"sys/fs/cgroup/pod/server/memory.max", "max\n"},
        {"sys/fs/cgroup/pod/server/memory.current", "10\n"},
        {"sys/fs/cgroup/pod/memory.max", "700\n"},
        {"sys/fs/cgroup/pod/memory.current", "300\n"}},
       400},
      {"TheMountInAContainerThatSeesThePathOfItsHost",
       {{"proc/self/mountinfo", kUnifiedMount},
        {"proc/self/cgroup", "0::/system.slice/of-the-host\n"},
        {"sys/fs/cgroup/memory.max", "900\n"},
        {"sys/fs/cgroup/memory.current", "100\n"}},
       800},
      {"Version1",
       {{"proc/self/mountinfo", kOtherMounts + kCpuMount + kMemoryMount},
        {"proc/self/cgroup", "12:cpu,cpuacct:/b\n5:memory:/a\n0::/\n"},
        {own1 + "limit_in_bytes", "8000\n"},
        {own1 + "usage_in_bytes", "5000\n"},
        {own1 + "stat", "cache 4000\ninactive_file 1\ntotal_inactive_file 2000\n"},
        {"sys/fs/cgroup/memory/memory.limit_in_bytes", "9223372036854771712\n"},
        {"sys/fs/cgroup/memory/memory.usage_in_bytes", "5000\n"}},
       8000 - 3000},
      {"Version1NoLimit",
       {{"proc/self/mountinfo", kMemoryMount},
        {"proc/self/cgroup", "5:memory:/a\n"},
        {own1 + "limit_in_bytes", "9223372036854771712\n"},
        {own1 + "usage_in_bytes", "5000\n"},
        {"sys/fs/cgroup/memory/memory.limit_in_bytes", "18446744073709551615\n"},
        {"sys/fs/cgroup/memory/memory.usage_in_bytes", "5000\n"}},
       INT64_MAX},
      {"Version1InAContainer",
       {{"proc/self/mountinfo", MountOf("/docker/abc", "/sys/fs/cgroup/memory", "cgroup", "rw,memory")},
        {"proc/self/cgroup", "5:memory:/docker/abc\n"},
        {"sys/fs/cgroup/memory/memory.limit_in_bytes", "600\n"},
        {"sys/fs/cgroup/memory/memory.usage_in_bytes", "100\n"}},
       500},
      {"Hybrid",
       {{"proc/self/mountinfo",
         kMemoryMount + "41 31 0:38 / /sys/fs/cgroup/unified rw - cgroup2 cgroup2 rw\n"},
        {"proc/self/cgroup", "5:memory:/a\n0::/b\n"},
        {own1 + "limit_in_bytes", "900\n"},
        {own1 + "usage_in_bytes", "100\n"},
        {"sys/fs/cgroup/unified/b/cgroup.procs", "1\n"}},
       800},
      {"AddressSpace",
       {{"proc/meminfo", MemInfo("1000000")},
        {"proc/self/status", status},
        {"proc/self/limits", Limits("409600")}},
       400 * 1024 - 100 * 1024},
      {"AddressSpaceWithoutLimit",
       {{"proc/meminfo", MemInfo("1000000")},
        {"proc/self/status", status},
        {"proc/self/limits", Limits("unlimited")}},
       1000000 * 1024},
      {"AboveALimitIsZero",
       {{"proc/self/mountinfo", kUnifiedMount},
        {"proc/self/cgroup", "0::/\n"},
        {"sys/fs/cgroup/memory.max", "100\n"},
        {"sys/fs/cgroup/memory.current", "300\n"}},
       0},
      {"Nonsense",
       {{"proc/meminfo", MemInfo("1000")},
        {"proc/self/mountinfo", kUnifiedMount},
        {"proc/self/cgroup", "nonsense\n0::/\n"},
        {"sys/fs/cgroup/memory.max", "much\n"},
        {"sys/fs/cgroup/memory.current", "300\n"},
        {"proc/self/limits", "Max address space\n"}},
       1000 * 1024},
  };
}

class AvailableMemoryTest : public testing::TestWithParam<MemoryCase> {};

TEST_P(AvailableMemoryTest, IsWhatTheTightestLimitLeavesOver) {
  const Root root(GetParam().files);
  EXPECT_EQ(AvailableMemoryBytes(root.path()), GetParam().bytes);
}

INSTANTIATE_TEST_SUITE_P(Machines, AvailableMemoryTest, testing::ValuesIn(MemoryCases()),
                         [](const auto& info) { return info.param.name; });

TEST(ProcessResourcesTest, OfThisProcessAreKnownAndPositive) {
  EXPECT_GE(AvailableCpus(), 1);
  EXPECT_GT(AvailableMemoryBytes(), 0);
  EXPECT_LT(AvailableMemoryBytes(), INT64_MAX);
}

}  // namespace
}  // namespace kandinsky
