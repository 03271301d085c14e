#include "base/mapped_file.h"

#include <fcntl.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cstdint>
#include <filesystem>
#include <fstream>
#include <string>
#include <utility>

namespace kandinsky {
namespace {

namespace fs = std::filesystem;

class MappedFileTest : public testing::Test {
 protected:
  MappedFileTest() {
    std::string pattern = (fs::path(testing::TempDir()) / "mapped_file_XXXXXX").string();
    folder_ = ::mkdtemp(pattern.data());
  }
  ~MappedFileTest() override { fs::remove_all(folder_); }

  std::string Path(const std::string& name) const { return (folder_ / name).string(); }

  std::string Write(const std::string& name, const std::string& content) const {
    std::ofstream(Path(name), std::ios::binary) << content;
    return Path(name);
  }

  static std::string Text(const MappedFile& file) {
    return {reinterpret_cast<const char*>(file.bytes().data()), file.bytes().size()};
  }

  fs::path folder_;
};

TEST_F(MappedFileTest, PartsThatWereReleasedOrReadAheadKeepTheirBytes) {
  std::string content(3 * 4096 + 100, ' ');
  for (size_t i = 0; i < content.size(); ++i) content[i] = static_cast<char>(i * 31 % 251);
  const auto file = MappedFile::Open(Write("parts", content));
  ASSERT_TRUE(file.ok());
  for (const auto& [offset, size] : {std::pair<size_t, size_t>{0, 0},
                                     {10, 20},
                                     {4096, 4096},
                                     {100, 9000},
                                     {8192, content.size() - 8192},
                                     {0, content.size()}}) {
    (*file)->ReadAhead(offset, size);
    EXPECT_EQ(Text(**file), content);
    (*file)->ReleasePages(offset, size);
    EXPECT_EQ(Text(**file), content);
  }
}

TEST_F(MappedFileTest, ShowsTheBytesOfTheFile) {
  const std::string content("a\0b\xff", 4);
  const auto file = MappedFile::Open(Write("f", content));
  ASSERT_TRUE(file.ok()) << file.status();
  EXPECT_EQ(Text(**file), content);
  EXPECT_EQ((*file)->path(), Path("f"));
}

TEST_F(MappedFileTest, ReleasedPagesLeaveResidentMemoryAndAreReadAgain) {
  const std::string content(8 << 20, 'x');
  const auto file = MappedFile::Open(Write("f", content));
  ASSERT_TRUE(file.ok());
  const auto mapped_file_kib = [] {
    std::ifstream status("/proc/self/status");
    for (std::string word; status >> word;) {
      if (int64_t kib = 0; word == "RssFile:" && status >> kib) return kib;
    }
    return int64_t{-1};
  };
  ASSERT_EQ(Text(**file), content);
  const int64_t before = mapped_file_kib();
  (*file)->ReleasePages();
  EXPECT_LE(mapped_file_kib(), before - 4096);
  EXPECT_EQ(Text(**file), content);
}

TEST_F(MappedFileTest, AnEmptyFileHasNoBytes) {
  const auto file = MappedFile::Open(Write("empty", ""));
  ASSERT_TRUE(file.ok()) << file.status();
  EXPECT_TRUE((*file)->bytes().empty());
}

TEST_F(MappedFileTest, AMissingFileIsNotFoundAndNamed) {
  const absl::Status status = MappedFile::Open(Path("missing")).status();
  EXPECT_TRUE(absl::IsNotFound(status)) << status;
  EXPECT_NE(status.message().find(Path("missing")), absl::string_view::npos);
}

TEST_F(MappedFileTest, AFolderIsNotAFile) {
  EXPECT_TRUE(absl::IsInvalidArgument(MappedFile::Open(folder_.string()).status()));
}

TEST_F(MappedFileTest, KeepsTheOldContentWhenTheFileIsReplaced) {
  const auto file = MappedFile::Open(Write("f", "old"));
  ASSERT_TRUE(file.ok());
  const std::string fresh = "new";
  ASSERT_TRUE(WriteFileAtomically(Path("f"), fresh).ok());
  EXPECT_EQ(Text(**file), "old");
  EXPECT_EQ(*ReadFile(Path("f"), 10), "new");
}

TEST_F(MappedFileTest, ReadFileRefusesMoreThanItsLimit) {
  Write("f", "12345");
  EXPECT_EQ(*ReadFile(Path("f"), 5), "12345");
  EXPECT_TRUE(absl::IsInvalidArgument(ReadFile(Path("f"), 4).status()));
}

TEST_F(MappedFileTest, WriteLeavesNothingElseInTheFolder) {
  const std::string content(100000, 'x');
  ASSERT_TRUE(WriteFileAtomically(Path("f"), content).ok());
  EXPECT_EQ(*ReadFile(Path("f"), content.size()), content);
  EXPECT_EQ(std::distance(fs::directory_iterator(folder_), fs::directory_iterator()), 1);
}

TEST_F(MappedFileTest, WriteToAMissingFolderFailsAndNamesIt) {
  const std::string content = "x";
  const absl::Status status = WriteFileAtomically(Path("no/f"), content);
  EXPECT_TRUE(absl::IsNotFound(status)) << status;
  EXPECT_NE(status.message().find("no/f"), absl::string_view::npos);
}

TEST_F(MappedFileTest, WriteOverAFolderFailsAndCleansUp) {
  fs::create_directory(Path("d"));
  const std::string content = "x";
  EXPECT_FALSE(WriteFileAtomically(Path("d"), content).ok());
  EXPECT_EQ(std::distance(fs::directory_iterator(folder_), fs::directory_iterator()), 1);
}

fs::perms Permissions(const std::string& path) { return fs::status(path).permissions(); }

TEST_F(MappedFileTest, ANewFileHasThePermissionsThatTheUmaskLeaves) {
  const std::string content = "x";
  for (const mode_t mask : {mode_t{022}, mode_t{077}, mode_t{002}}) {
    const mode_t before = ::umask(mask);
    const absl::Status status = WriteFileAtomically(Path("f"), content);
    ::umask(before);
    ASSERT_TRUE(status.ok()) << status;
    EXPECT_EQ(Permissions(Path("f")), static_cast<fs::perms>(0666 & ~mask));
    fs::remove(Path("f"));
  }
}

TEST_F(MappedFileTest, AReplacedFileKeepsItsPermissions) {
  const std::string content = "x";
  for (const int mode : {0600, 0664, 0755, 0444}) {
    fs::permissions(Write("f", "old"), static_cast<fs::perms>(mode));
    ASSERT_TRUE(WriteFileAtomically(Path("f"), content).ok());
    EXPECT_EQ(Permissions(Path("f")), static_cast<fs::perms>(mode));
    EXPECT_EQ(*ReadFile(Path("f"), 10), "x");
    fs::remove(Path("f"));
  }
}

TEST_F(MappedFileTest, ALinkStaysAndWhatItLeadsToIsReplacedOrMade) {
  fs::create_directory(Path("d"));
  Write("d/f", "old");
  fs::create_symlink("d/f", Path("link"));
  fs::create_symlink("link", Path("second"));
  fs::create_symlink(Path("d/none"), Path("dangling"));
  const std::string content = "x";
  ASSERT_TRUE(WriteFileAtomically(Path("second"), content).ok());
  ASSERT_TRUE(WriteFileAtomically(Path("dangling"), content).ok());
  for (const char* link : {"link", "second", "dangling"}) EXPECT_TRUE(fs::is_symlink(Path(link))) << link;
  EXPECT_EQ(*ReadFile(Path("d/f"), 10), "x");
  EXPECT_EQ(*ReadFile(Path("d/none"), 10), "x");
  EXPECT_EQ(std::distance(fs::directory_iterator(Path("d")), fs::directory_iterator()), 2);
}

TEST_F(MappedFileTest, LinksInACircleAreAnError) {
  fs::create_symlink("b", Path("a"));
  fs::create_symlink("a", Path("b"));
  const std::string content = "x";
  EXPECT_THAT(WriteFileAtomically(Path("a"), content).message(), testing::HasSubstr("symbolic links"));
}

TEST_F(MappedFileTest, APipeIsWrittenAtOnceAndStays) {
  ASSERT_EQ(::mkfifo(Path("pipe").c_str(), 0600), 0);
  const int reader = ::open(Path("pipe").c_str(), O_RDONLY | O_NONBLOCK);
  const std::string content = "xyz";
  EXPECT_EQ(WriteFileAtomically(Path("pipe"), content), absl::OkStatus());
  char read[4] = {};
  EXPECT_EQ(::read(reader, read, sizeof(read)), 3);
  EXPECT_STREQ(read, "xyz");
  ::close(reader);
  EXPECT_TRUE(fs::is_fifo(Path("pipe")));
}

TEST_F(MappedFileTest, ADescriptorIsWrittenWhereItStands) {
  Write("f", "");
  const int descriptor = ::open(Path("f").c_str(), O_WRONLY);
  const std::string content = "x";
  fs::create_symlink("/dev/fd/" + std::to_string(descriptor), Path("link"));
  ASSERT_EQ(WriteFileAtomically("/proc/self/fd/" + std::to_string(descriptor), content), absl::OkStatus());
  ASSERT_EQ(WriteFileAtomically("/dev/fd/" + std::to_string(descriptor), content), absl::OkStatus());
  ASSERT_EQ(WriteFileAtomically(Path("link"), content), absl::OkStatus());
  ::close(descriptor);
  EXPECT_EQ(*ReadFile(Path("f"), 10), "xxx");
}

TEST_F(MappedFileTest, AFullDeviceIsAnErrorWithItsReason) {
  const std::string content = "x";
  const absl::Status status = WriteFileAtomically("/dev/full", content);
  EXPECT_TRUE(absl::IsResourceExhausted(status)) << status;
  EXPECT_TRUE(fs::is_character_file("/dev/full"));
}

}  // namespace
}  // namespace kandinsky
