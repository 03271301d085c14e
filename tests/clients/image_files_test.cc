#include "clients/cpp/image_files.h"

#include <gtest/gtest.h>
#include <unistd.h>

#include <filesystem>
#include <fstream>
#include <sstream>

namespace kandinsky {
namespace {

namespace fs = std::filesystem;

class ImageFilesTest : public testing::Test {
 protected:
  ImageFilesTest() {
    std::string pattern = (fs::path(testing::TempDir()) / "files_XXXXXX").string();
    folder_ = ::mkdtemp(pattern.data());
  }
  ~ImageFilesTest() override { fs::remove_all(folder_); }

  std::string Path(const std::string& name) const { return folder_ + "/" + name; }

  static std::string Read(const std::string& path) {
    std::stringstream text;
    text << std::ifstream(path, std::ios::binary).rdbuf();
    return text.str();
  }

  int CountFiles() const {
    return static_cast<int>(std::distance(fs::directory_iterator(folder_), fs::directory_iterator()));
  }

  std::string folder_;
};

TEST_F(ImageFilesTest, AreWrittenAsTheyAre) {
  const std::string bytes("\x00\n\r\xff", 4);
  ASSERT_TRUE(WriteFile(Path("a.png"), bytes).ok());
  EXPECT_EQ(Read(Path("a.png")), bytes);
  EXPECT_TRUE(absl::IsUnknown(WriteFile(Path("missing/a.png"), bytes)));
}

TEST_F(ImageFilesTest, AreReplacedAsAWholeWithoutLeftovers) {
  ASSERT_TRUE(ReplaceFile(Path("a.png"), "old").ok());
  // Whoever has the old file open goes on reading it.
  std::ifstream reader(Path("a.png"));
  ASSERT_TRUE(ReplaceFile(Path("a.png"), "a new one").ok());
  std::string seen;
  reader >> seen;
  EXPECT_EQ(seen, "old");
  EXPECT_EQ(Read(Path("a.png")), "a new one");
  EXPECT_EQ(CountFiles(), 1);
}

TEST_F(ImageFilesTest, ThatCannotBeReplacedLeaveNothingBehind) {
  fs::create_directories(Path("folder/full"));
  EXPECT_TRUE(absl::IsUnknown(ReplaceFile(Path("folder"), "x")));
  EXPECT_TRUE(absl::IsUnknown(ReplaceFile(Path("missing/a.png"), "x")));
  EXPECT_EQ(CountFiles(), 1);
}

TEST_F(ImageFilesTest, AreCheckedBeforeTheyAreWritten) {
  EXPECT_TRUE(CheckOutput(Path("a.png")).ok());
  EXPECT_TRUE(CheckOutput("a.png").ok());
  EXPECT_TRUE(absl::IsNotFound(CheckOutput(Path("missing/a.png"))));
  EXPECT_TRUE(absl::IsInvalidArgument(CheckOutput(folder_)));
}

TEST(ImagePathTest, PutsTheIndexBeforeTheExtension) {
  EXPECT_EQ(ImagePath("a/cat.png", 0, 1), "a/cat.png");
  EXPECT_EQ(ImagePath("a/cat.png", 2, 3), "a/cat-2.png");
  EXPECT_EQ(ImagePath("cat", 0, 2), "cat-0");
  EXPECT_EQ(ImagePath("a.b/cat.tar.png", 1, 2), "a.b/cat.tar-1.png");
}

TEST(PreviewPathTest, PutsImageAndStepWhereThePatternHasThem) {
  v1::PreviewEvent preview;
  preview.set_image_index(1);
  preview.set_step(5);
  EXPECT_EQ(PreviewPath("a/p.png", preview, 1), "a/p.png");
  EXPECT_EQ(PreviewPath("a/p.png", preview, 2), "a/p-1.png");
  EXPECT_EQ(PreviewPath("a/{step}.png", preview, 1), "a/0005.png");
  EXPECT_EQ(PreviewPath("a/{step}.png", preview, 2), "a/0005-1.png");
  EXPECT_EQ(PreviewPath("a/{image}_{step}.png", preview, 2), "a/1_0005.png");
}

}  // namespace
}  // namespace kandinsky
