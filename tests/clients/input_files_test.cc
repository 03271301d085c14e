#include "clients/cpp/input_files.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/stat.h>
#include <unistd.h>

#include <filesystem>
#include <fstream>
#include <thread>

#include "clients/cpp/npy.h"
#include "tests/clients/float_tensors.h"

namespace kandinsky::client {
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
  const absl::StatusOr<ImageOrTensor> read =
      ReadImageOrTensorFile("--depth", File("a.png", *ToNpy(Tensor({1, 2}))), TensorKind::kDepth);
  ASSERT_TRUE(read.ok()) << read.status();
  EXPECT_TRUE(read->is_tensor);
  EXPECT_EQ(read->tensor.SerializeAsString(), Tensor({1, 2}).SerializeAsString());
  const absl::StatusOr<ImageOrTensor> image =
      ReadImageOrTensorFile("--depth", File("b.npy", "image"), TensorKind::kDepth);
  ASSERT_TRUE(image.ok()) << image.status();
  EXPECT_FALSE(image->is_tensor);
  EXPECT_EQ(image->image, "image");
  EXPECT_FALSE(ReadTensorFile("--depth", Path("b.npy"), TensorKind::kDepth).ok());
}

TEST_F(InputFilesTest, LoseABatchOfOne) {
  const auto shape = [&](const std::vector<int>& found, TensorKind kind) {
    const auto tensor = ReadTensorFile("latents", File("a.npy", *ToNpy(Tensor(found))), kind);
    EXPECT_TRUE(tensor.ok()) << tensor.status();
    return tensor.ok() ? std::vector<int>(tensor->shape().begin(), tensor->shape().end())
                       : std::vector<int>();
  };
  EXPECT_THAT(shape({4, 3, 2}, TensorKind::kLatents), ElementsAre(4, 3, 2));
  EXPECT_THAT(shape({1, 4, 3, 2}, TensorKind::kLatents), ElementsAre(4, 3, 2));
  EXPECT_THAT(shape({1, 1, 4, 1, 1}, TensorKind::kLatents), ElementsAre(4, 1, 1));
  EXPECT_THAT(shape({1, 3, 8, 8}, TensorKind::kPixels), ElementsAre(3, 8, 8));
  EXPECT_THAT(shape({1, 3, 8, 8}, TensorKind::kDepth), ElementsAre(3, 8, 8));
  EXPECT_THAT(shape({1, 1, 8, 8}, TensorKind::kDepth), ElementsAre(8, 8));
  EXPECT_THAT(shape({1, 8, 8}, TensorKind::kDepth), ElementsAre(8, 8));
  EXPECT_THAT(shape({1, 8}, TensorKind::kDepth), ElementsAre(1, 8));
}

TEST_F(InputFilesTest, OfAnotherShapeSayWhichOneIsExpected) {
  const auto error = [&](const std::vector<int>& found, TensorKind kind) {
    const auto tensor = ReadTensorFile("latents", File("a.npy", *ToNpy(Tensor(found))), kind);
    EXPECT_TRUE(absl::IsInvalidArgument(tensor.status()));
    return std::string(tensor.status().message());
  };
  EXPECT_EQ(
      error({2, 4, 3, 2}, TensorKind::kLatents),
      "latents: " + Path("a.npy") +
          ": its shape is [2, 4, 3, 2], expected [4, height, width]; send the 2 of this batch one by one");
  EXPECT_EQ(error({8, 8, 4}, TensorKind::kLatents),
            "latents: " + Path("a.npy") + ": its shape is [8, 8, 4], expected [4, height, width]");
  EXPECT_THAT(error({4, 8, 8}, TensorKind::kPixels), HasSubstr("expected [3, height, width]"));
  EXPECT_THAT(error({4, 8, 8}, TensorKind::kDepth),
              HasSubstr("expected [height, width] or [3, height, width]"));
  EXPECT_THAT(error({8}, TensorKind::kDepth), HasSubstr("its shape is [8]"));
}

TEST_F(InputFilesTest, MayBeAsLargeAsTheLargestThatAnyServerTakes) {
  EXPECT_TRUE(
      ReadImageOrTensorFile("--depth", File("a.npy", *ToNpy(Tensor({3, 1024, 1024}))), TensorKind::kDepth)
          .ok());
  EXPECT_TRUE(
      ReadImageOrTensorFile("--depth", File("a.png", std::string(12 << 20, 'x')), TensorKind::kDepth).ok());
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
  const absl::Status wrong = ReadEmbeddingFile("--image-embedding", File("f.json", "image")).status();
  EXPECT_THAT(std::string(wrong.message()), StartsWith("--image-embedding: " + Path("f.json") + ": "));
}

}  // namespace
}  // namespace kandinsky::client
