#include "clients/cpp/input_files.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/stat.h>
#include <unistd.h>

#include <filesystem>
#include <fstream>
#include <thread>

#include "clients/cpp/npy.h"

namespace kandinsky {
namespace {

namespace fs = std::filesystem;

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::StartsWith;

class InputFilesTest : public testing::Test {
 protected:
  InputFilesTest() {
    std::string pattern = (fs::path(testing::TempDir()) / "input_XXXXXX").string();
    folder_ = ::mkdtemp(pattern.data());
  }
  ~InputFilesTest() override { fs::remove_all(folder_); }

  std::string Path(const std::string& name) const { return folder_ + "/" + name; }
  std::string File(const std::string& name, const std::string& content) const {
    std::ofstream(Path(name), std::ios::binary) << content;
    return Path(name);
  }

  std::string folder_;
};

TEST_F(InputFilesTest, AreReadAsTheyAre) {
  const std::string bytes("\x00\n\r\xff", 4);
  EXPECT_EQ(*ReadInput("--image", File("a", bytes), 4), bytes);
  const std::string large(200'000, 'x');
  EXPECT_EQ(*ReadInput("--image", File("b", large), large.size()), large);
}

TEST_F(InputFilesTest, ThatAreTooLongOrEmptyAreRefused) {
  const absl::Status longer =
      ReadInput("--image", File("a", std::string((1 << 20) + 1, 'x')), 1 << 20).status();
  EXPECT_TRUE(absl::IsInvalidArgument(longer));
  EXPECT_EQ(longer.message(), "--image: " + Path("a") + " is larger than 1 MiB");
  const absl::Status empty = ReadInput("--image", File("b", ""), 4).status();
  EXPECT_TRUE(absl::IsInvalidArgument(empty));
  EXPECT_EQ(empty.message(), "--image: " + Path("b") + " is empty");
}

TEST_F(InputFilesTest, ThatCannotBeReadSayWhy) {
  const absl::Status missing = ReadInput("--mask", Path("missing"), 4).status();
  EXPECT_TRUE(absl::IsNotFound(missing));
  EXPECT_EQ(missing.message(), "--mask: cannot read " + Path("missing") + ": No such file or directory");
  const absl::Status folder = ReadInput("--mask", folder_, 4).status();
  EXPECT_FALSE(folder.ok());
  EXPECT_THAT(std::string(folder.message()), HasSubstr("Is a directory"));
}

TEST_F(InputFilesTest, CanBePipesAndDevicesWithoutAnEnd) {
  ASSERT_EQ(::mkfifo(Path("pipe").c_str(), 0600), 0);
  std::thread writer([&] { std::ofstream(Path("pipe")) << "through a pipe"; });
  const absl::StatusOr<std::string> content = ReadInput("--image", Path("pipe"), 100);
  writer.join();
  EXPECT_EQ(*content, "through a pipe");
  EXPECT_TRUE(absl::IsInvalidArgument(ReadInput("--image", "/dev/zero", 1 << 20).status()));
}

TEST_F(InputFilesTest, AreTensorsByTheirContentNotTheirName) {
  v1::FloatTensor tensor;
  tensor.add_shape(1);
  tensor.set_data("abcd");
  const absl::StatusOr<ImageOrTensor> read = ReadImageOrTensorFile("--depth", File("a.png", *ToNpy(tensor)));
  ASSERT_TRUE(read.ok()) << read.status();
  EXPECT_TRUE(read->is_tensor);
  EXPECT_EQ(read->tensor.data(), "abcd");
  const absl::StatusOr<ImageOrTensor> image = ReadImageOrTensorFile("--depth", File("b.npy", "picture"));
  ASSERT_TRUE(image.ok()) << image.status();
  EXPECT_FALSE(image->is_tensor);
  EXPECT_EQ(image->image, "picture");
  EXPECT_FALSE(ReadTensorFile("--depth", Path("b.npy")).ok());
}

TEST_F(InputFilesTest, MayBeAsLargeAsTheLargestThatAnyServerTakes) {
  v1::FloatTensor tensor;
  tensor.add_shape(3 << 20);
  tensor.set_data(std::string(12 << 20, 'x'));
  EXPECT_TRUE(ReadImageOrTensorFile("--depth", File("a.npy", *ToNpy(tensor))).ok());
  EXPECT_TRUE(ReadImageOrTensorFile("--depth", File("a.png", tensor.data())).ok());
  std::ofstream(Path("b.png")).close();
  fs::resize_file(Path("b.png"), (64 << 20) + 1);
  EXPECT_EQ(ReadImageFile("--image", Path("b.png")).status().message(),
            "--image: " + Path("b.png") + " is larger than 64 MiB");
}

TEST_F(InputFilesTest, HaveEmbeddings) {
  const absl::StatusOr<v1::Embedding> embedding =
      ReadEmbeddingFile("--image-embedding", File("e.json", R"({"image_embedding": [1, 2]})"));
  ASSERT_TRUE(embedding.ok()) << embedding.status();
  EXPECT_THAT(embedding->values(), ElementsAre(1, 2));
  const absl::Status wrong = ReadEmbeddingFile("--image-embedding", File("f.json", "picture")).status();
  EXPECT_THAT(std::string(wrong.message()), StartsWith("--image-embedding: " + Path("f.json") + ": "));
}

}  // namespace
}  // namespace kandinsky
