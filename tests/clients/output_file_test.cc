#include "clients/cpp/output_file.h"

#include <fcntl.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include <csignal>
#include <filesystem>
#include <fstream>
#include <sstream>
#include <thread>

namespace kandinsky::client {
namespace {

namespace fs = std::filesystem;

using ::testing::HasSubstr;
using ::testing::StartsWith;

// The size that files may have, until the end of a scope.
class FileSizeLimit {
 public:
  explicit FileSizeLimit(rlim_t bytes) : handler_(std::signal(SIGXFSZ, SIG_IGN)) {
    ::getrlimit(RLIMIT_FSIZE, &before_);
    const rlimit limit = {.rlim_cur = bytes, .rlim_max = before_.rlim_max};
    ::setrlimit(RLIMIT_FSIZE, &limit);
  }
  ~FileSizeLimit() {
    ::setrlimit(RLIMIT_FSIZE, &before_);
    std::signal(SIGXFSZ, handler_);
  }

 private:
  void (*const handler_)(int);
  rlimit before_ = {};
};

// Until the end of a scope the process is no user who may write everything.
class Unprivileged {
 public:
  explicit Unprivileged(const std::string& own_folder) : before_(::geteuid()) {
    if (before_ != 0) return;
    EXPECT_EQ(::chown(own_folder.c_str(), kNobody, static_cast<gid_t>(-1)), 0);
    EXPECT_EQ(::seteuid(kNobody), 0);
  }
  ~Unprivileged() { EXPECT_EQ(::seteuid(before_), 0); }

 private:
  static constexpr uid_t kNobody = 65534;
  const uid_t before_;
};

class OutputFileTest : public testing::Test {
 protected:
  OutputFileTest() {
    std::string pattern = (fs::path(testing::TempDir()) / "files_XXXXXX").string();
    folder_ = ::mkdtemp(pattern.data());
  }
  ~OutputFileTest() override { fs::remove_all(folder_); }

  std::string Path(const std::string& name) const { return folder_ + "/" + name; }

  std::string File(const std::string& name, const std::string& content) const {
    std::ofstream(Path(name), std::ios::binary) << content;
    return Path(name);
  }

  static std::string Read(const std::string& path) {
    std::stringstream text;
    text << std::ifstream(path, std::ios::binary).rdbuf();
    return text.str();
  }

  static mode_t Mode(const std::string& path) {
    struct stat state = {};
    ::stat(path.c_str(), &state);
    return state.st_mode & 07777;
  }

  int CountFiles() const {
    return static_cast<int>(std::distance(fs::directory_iterator(folder_), fs::directory_iterator()));
  }

  std::string folder_;
};

TEST_F(OutputFileTest, IsWrittenAsItIs) {
  const std::string bytes("\x00\n\r\xff", 4);
  ASSERT_TRUE(WriteFile(Path("a.png"), bytes).ok());
  EXPECT_EQ(Read(Path("a.png")), bytes);
  ASSERT_TRUE(WriteFile(Path(std::string(250, 'a') + ".png"), bytes).ok());
  EXPECT_EQ(CountFiles(), 2);
}

TEST_F(OutputFileTest, IsReplacedAsAWholeWithoutLeftovers) {
  File("a.png", "old");
  // Whoever has the old file open goes on reading it.
  std::ifstream reader(Path("a.png"));
  ASSERT_TRUE(WriteFile(Path("a.png"), "a new one").ok());
  std::string seen;
  reader >> seen;
  EXPECT_EQ(seen, "old");
  EXPECT_EQ(Read(Path("a.png")), "a new one");
  EXPECT_EQ(CountFiles(), 1);
}

TEST_F(OutputFileTest, ThatDoesNotFitLeavesTheOneThatWasThere) {
  File("a.png", "good");
  const FileSizeLimit limit(1000);
  const absl::Status status = WriteFile(Path("a.png"), std::string(1001, 'x'));
  EXPECT_EQ(status.message(),
            "cannot write " + Path("a.png") +
                ": File too large; raise the limit of file sizes (ulimit -f) or write elsewhere");
  EXPECT_FALSE(WriteFile(Path("b.png"), std::string(1001, 'x')).ok());
  EXPECT_EQ(Read(Path("a.png")), "good");
  EXPECT_EQ(CountFiles(), 1);
}

TEST_F(OutputFileTest, OnAFullDeviceSaysSo) {
  const absl::Status status = WriteFile("/dev/full", "x");
  EXPECT_TRUE(absl::IsResourceExhausted(status)) << status;
  EXPECT_EQ(status.message(),
            "cannot write /dev/full: No space left on device; make room there or write elsewhere");
}

TEST_F(OutputFileTest, KeepsThePermissionsOfTheOneThatWasThere) {
  for (const mode_t mode : {0600, 0644, 0666, 0755}) {
    ::chmod(File("a.png", "old").c_str(), mode);
    ASSERT_TRUE(WriteFile(Path("a.png"), "new").ok());
    EXPECT_EQ(Mode(Path("a.png")), mode);
  }
}

TEST_F(OutputFileTest, ThatIsNewHasThePermissionsThatTheMaskLeaves) {
  const mode_t before = ::umask(027);
  EXPECT_TRUE(WriteFile(Path("a.png"), "new").ok());
  ::umask(before);
  EXPECT_EQ(Mode(Path("a.png")), 0640u);
}

TEST_F(OutputFileTest, BehindALinkIsReplacedThere) {
  fs::create_directories(Path("store"));
  File("store/a.png", "old");
  fs::create_symlink("store/a.png", Path("link.png"));
  fs::create_symlink("link.png", Path("link_to_link.png"));
  ASSERT_TRUE(WriteFile(Path("link_to_link.png"), "new").ok());
  EXPECT_EQ(Read(Path("store/a.png")), "new");
  EXPECT_TRUE(fs::is_symlink(Path("link.png")));
  EXPECT_TRUE(fs::is_symlink(Path("link_to_link.png")));
  // One that leads to nothing yet.
  fs::create_symlink("store/b.png", Path("new.png"));
  EXPECT_TRUE(CheckOutput("--output", Path("new.png")).ok());
  ASSERT_TRUE(WriteFile(Path("new.png"), "b").ok());
  EXPECT_EQ(Read(Path("store/b.png")), "b");
  fs::create_symlink("round.png", Path("round.png"));
  EXPECT_THAT(std::string(WriteFile(Path("round.png"), "x").message()), HasSubstr("symbolic links"));
}

TEST_F(OutputFileTest, ThatIsAPipeGetsTheContent) {
  ASSERT_EQ(::mkfifo(Path("pipe").c_str(), 0600), 0);
  std::string seen;
  std::thread reader([&] { seen = Read(Path("pipe")); });
  EXPECT_TRUE(WriteFile(Path("pipe"), "through a pipe").ok());
  reader.join();
  EXPECT_EQ(seen, "through a pipe");
  EXPECT_TRUE(fs::is_fifo(Path("pipe")));
  EXPECT_TRUE(WriteFile("/dev/null", "gone").ok());
}

TEST_F(OutputFileTest, ThatIsADescriptorGetsTheContentWhereItStands) {
  const int descriptor = ::open(File("a", "before").c_str(), O_WRONLY | O_APPEND);
  for (const char* folder : {"/dev/fd/", "/proc/self/fd/"}) {
    const std::string path = folder + std::to_string(descriptor);
    EXPECT_TRUE(CheckOutput("--output", path).ok());
    ASSERT_TRUE(WriteFile(path, "+").ok());
  }
  fs::create_symlink("/dev/fd/" + std::to_string(descriptor), Path("link"));
  ASSERT_TRUE(WriteFile(Path("link"), "+").ok());
  ::close(descriptor);
  EXPECT_EQ(Read(Path("a")), "before+++");
}

TEST_F(OutputFileTest, ThatMayNotBeWrittenIsRefusedThoughItsFolderMay) {
  const Unprivileged scope(folder_);
  ::chmod(File("a.png", "old").c_str(), 0444);
  EXPECT_TRUE(absl::IsPermissionDenied(CheckOutput("--output", Path("a.png"))));
  EXPECT_TRUE(absl::IsPermissionDenied(WriteFile(Path("a.png"), "new")));
  EXPECT_EQ(Read(Path("a.png")), "old");
}

TEST_F(OutputFileTest, InAFolderThatMayNotBeWrittenIsWrittenInPlace) {
  const Unprivileged scope(folder_);
  File("a.png", "a longer old one");
  ::chmod(folder_.c_str(), 0555);
  EXPECT_TRUE(WriteFile(Path("a.png"), "new").ok());
  EXPECT_TRUE(absl::IsPermissionDenied(CheckOutput("--output", Path("b.png"))));
  ::chmod(folder_.c_str(), 0755);
  EXPECT_EQ(Read(Path("a.png")), "new");
}

TEST_F(OutputFileTest, ThatCannotBeWrittenLeavesNothingBehind) {
  fs::create_directories(Path("folder/full"));
  EXPECT_FALSE(WriteFile(Path("folder"), "x").ok());
  const absl::Status missing = WriteFile(Path("missing/a.png"), "x");
  EXPECT_TRUE(absl::IsNotFound(missing));
  EXPECT_EQ(missing.message(),
            "cannot write " + Path("missing/a.png") + ": No such file or directory; create its folder first");
  EXPECT_EQ(CountFiles(), 1);
}

TEST_F(OutputFileTest, IsCheckedBeforeItIsWritten) {
  const auto error = [](const std::string& path) {
    const absl::Status status = CheckOutput("--output", path);
    EXPECT_FALSE(status.ok()) << path;
    EXPECT_THAT(std::string(status.message()), StartsWith("--output: "));
    return status;
  };
  EXPECT_TRUE(CheckOutput("--output", Path("a.png")).ok());
  EXPECT_TRUE(CheckOutput("--output", "a.png").ok());
  EXPECT_TRUE(CheckOutput("--output", "/dev/null").ok());
  EXPECT_TRUE(absl::IsNotFound(error(Path("missing/a.png"))));
  EXPECT_TRUE(absl::IsNotFound(error(File("a", "") + "/a.png")));
  EXPECT_TRUE(absl::IsInvalidArgument(error(folder_)));
  EXPECT_TRUE(absl::IsInvalidArgument(error(folder_ + "/")));
  EXPECT_TRUE(absl::IsInvalidArgument(error("")));
  EXPECT_THAT(std::string(error(Path(std::string(300, 'a'))).message()), HasSubstr("File name too long"));
}

}  // namespace
}  // namespace kandinsky::client
