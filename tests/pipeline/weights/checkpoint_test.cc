#include <ATen/ATen.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>
#include <iterator>

#include "pipeline/weights/safetensors.h"
#include "tests/pipeline/weights/weights_test_support.h"

namespace kandinsky {
namespace {

namespace fs = std::filesystem;
using ::testing::ElementsAre;
using ::testing::HasSubstr;

class CheckpointTest : public ::testing::Test {
 protected:
  std::string PathOf(const std::string& name) const { return folder_.path() + "/" + name; }

  std::shared_ptr<const Checkpoint> Open(const std::string& path) {
    auto checkpoint = OpenCheckpoint(path);
    EXPECT_TRUE(checkpoint.ok()) << checkpoint.status();
    return *checkpoint;
  }

  std::string ErrorOf(const std::string& path, absl::StatusCode code = absl::StatusCode::kInvalidArgument) {
    const auto checkpoint = OpenCheckpoint(path);
    EXPECT_EQ(checkpoint.status().code(), code) << checkpoint.status();
    return std::string(checkpoint.status().message());
  }

  // Two shards, "a" in one.safetensors and "b" in two.safetensors, and an index with the given map.
  std::string WriteShards(const std::string& weight_map) {
    EXPECT_TRUE(WriteSafetensors(PathOf("one.safetensors"), {{"a", torch::ones({2})}}).ok());
    EXPECT_TRUE(WriteSafetensors(PathOf("two.safetensors"), {{"b", torch::zeros({3})}}).ok());
    return folder_.Write("model.safetensors.index.json",
                         R"({"metadata":{"total_size":20},"weight_map":)" + weight_map + "}");
  }

  std::string ErrorOfShardName(const std::string& name) {
    return ErrorOf(WriteShards(R"({"a":")" + name + R"(","b":"two.safetensors"})"));
  }

  const TemporaryFolder folder_;
};

TEST_F(CheckpointTest, ReadsBackWhatWasWritten) {
  std::vector<std::pair<std::string, torch::Tensor>> tensors = {{"scalar", torch::tensor(1.5f)},
                                                                {"empty", torch::empty({3, 0})}};
  for (const auto dtype : {torch::kDouble, torch::kFloat, torch::kHalf, torch::kBFloat16, torch::kLong,
                           torch::kInt, torch::kShort, torch::kChar, torch::kByte, torch::kBool}) {
    tensors.emplace_back(c10::toString(dtype), (torch::arange(7) % 2).to(dtype));
  }
  tensors.emplace_back("strided", torch::arange(6).reshape({2, 3}).t());
  ASSERT_TRUE(WriteSafetensors(PathOf("w.safetensors"), tensors).ok());
  const auto checkpoint = Open(PathOf("w.safetensors"));
  EXPECT_EQ(checkpoint->names().size(), tensors.size());
  int64_t bytes = 0;
  for (const auto& [name, tensor] : tensors) {
    const auto read = checkpoint->Get(name);
    ASSERT_TRUE(read.ok()) << read.status();
    EXPECT_EQ(read->scalar_type(), tensor.scalar_type()) << name;
    EXPECT_TRUE(read->equal(tensor)) << name;
    EXPECT_EQ(checkpoint->Find(name)->dtype, tensor.scalar_type());
    EXPECT_EQ(checkpoint->Find(name)->shape, tensor.sizes().vec());
    bytes += static_cast<int64_t>(tensor.nbytes());
  }
  EXPECT_EQ(checkpoint->total_bytes(), bytes);
}

TEST_F(CheckpointTest, NamesByPlaceAreThoseOfEachFileInItsOrder) {
  const torch::Tensor one = torch::ones({2});
  ASSERT_TRUE(WriteSafetensors(PathOf("w.safetensors"), {{"c", one}, {"a", one}, {"b", one}}).ok());
  EXPECT_THAT(Open(PathOf("w.safetensors"))->names_by_place(), ElementsAre("c", "a", "b"));
  const auto shards = Open(WriteShards(R"({"a":"one.safetensors","b":"two.safetensors"})"));
  EXPECT_THAT(shards->names_by_place(), ElementsAre("a", "b"));
}

TEST_F(CheckpointTest, WritesTheSameBytesEveryTimeAndPadsTheHeader) {
  const auto bytes_of = [this](const std::string& name) {
    EXPECT_TRUE(WriteSafetensors(PathOf(name), {{"w", torch::ones({2})}}, {{"format", "pt"}}).ok());
    std::ifstream file(PathOf(name), std::ios::binary);
    return std::string(std::istreambuf_iterator<char>(file), {});
  };
  const std::string header = R"({"__metadata__":{"format":"pt"},)"
                             R"("w":{"dtype":"F32","shape":[2],"data_offsets":[0,8]}})";
  const std::string padded = header + std::string((8 - header.size() % 8) % 8, ' ');
  EXPECT_EQ(bytes_of("1"), SafetensorsBytes(padded, std::string("\0\0\x80\x3f\0\0\x80\x3f", 8)));
  EXPECT_EQ(bytes_of("1"), bytes_of("2"));
}

TEST_F(CheckpointTest, RefusesToWriteWhatTheFormatLacks) {
  const torch::Tensor tensor = torch::ones({1});
  const auto code = [this](const std::vector<std::pair<std::string, torch::Tensor>>& tensors) {
    return WriteSafetensors(PathOf("w"), tensors).code();
  };
  EXPECT_EQ(code({{"w", tensor}, {"w", tensor}}), absl::StatusCode::kInvalidArgument);
  EXPECT_EQ(code({{"w", tensor.to(torch::kComplexFloat)}}), absl::StatusCode::kInvalidArgument);
  EXPECT_EQ(code({{"w", torch::Tensor()}}), absl::StatusCode::kInvalidArgument);
  EXPECT_EQ(code({{"__metadata__", tensor}}), absl::StatusCode::kInvalidArgument);
  EXPECT_EQ(code({{"\xff", tensor}}), absl::StatusCode::kInvalidArgument);
  EXPECT_FALSE(fs::exists(PathOf("w")));
}

TEST_F(CheckpointTest, MapsAlignedTensorsAndKeepsTheMappingAlive) {
  ASSERT_TRUE(WriteSafetensors(PathOf("w"), {{"w", torch::arange(1000)}}).ok());
  torch::Tensor first;
  {
    const auto checkpoint = Open(PathOf("w"));
    first = *checkpoint->Get("w");
    EXPECT_EQ(first.data_ptr(), checkpoint->Get("w")->data_ptr());
  }
  EXPECT_TRUE(first.equal(torch::arange(1000)));
}

TEST_F(CheckpointTest, CopiesUnalignedTensors) {
  ASSERT_TRUE(WriteSafetensors(PathOf("w"), {{"byte", torch::ones({1}, torch::kByte)},
                                             {"w", torch::arange(9, torch::kDouble)}})
                  .ok());
  const torch::Tensor tensor = *Open(PathOf("w"))->Get("w");
  EXPECT_EQ(reinterpret_cast<uintptr_t>(tensor.data_ptr()) % 8, 0u);
  EXPECT_TRUE(tensor.equal(torch::arange(9, torch::kDouble)));
}

// W-07
TEST_F(CheckpointTest, KeepsOldDataWhenTheFileIsReplacedByRename) {
  ASSERT_TRUE(WriteSafetensors(PathOf("w"), {{"w", torch::ones({1000})}}).ok());
  const auto checkpoint = Open(PathOf("w"));
  ASSERT_TRUE(WriteSafetensors(PathOf("w"), {{"w", torch::zeros({1000})}}).ok());
  EXPECT_TRUE(checkpoint->Get("w")->equal(torch::ones({1000})));
}

TEST_F(CheckpointTest, TakesAnyByteForTrue) {
  const std::string header = R"({"w":{"dtype":"BOOL","shape":[4],"data_offsets":[0,4]}})";
  const std::string path = folder_.Write("w", SafetensorsBytes(header, std::string("\0\1\2\xff", 4)));
  EXPECT_TRUE(Open(path)->Get("w")->equal(torch::tensor({false, true, true, true})));
}

TEST_F(CheckpointTest, NamesFileAndTensorThatAreMissing) {
  EXPECT_THAT(ErrorOf(PathOf("absent"), absl::StatusCode::kNotFound), HasSubstr(PathOf("absent")));
  ASSERT_TRUE(WriteSafetensors(PathOf("w"), {{"w", torch::ones({1})}}).ok());
  const auto tensor = Open(PathOf("w"))->Get("v");
  EXPECT_EQ(tensor.status().code(), absl::StatusCode::kNotFound);
  EXPECT_THAT(std::string(tensor.status().message()), HasSubstr("\"v\""));
  EXPECT_EQ(Open(PathOf("w"))->Find("v"), nullptr);
}

TEST_F(CheckpointTest, RefusesPickledFilesByTheirFirstBytes) {
  EXPECT_THAT(ErrorOf(folder_.Write("model.ckpt", std::string("PK\x03\x04") + std::string(100, '\0'))),
              HasSubstr("model.ckpt: "));
  EXPECT_THAT(ErrorOf(folder_.Write("model.bin", std::string("\x80\x02}q") + std::string(100, '\0'))),
              HasSubstr("model.bin: "));
}

TEST_F(CheckpointTest, OpensShardsAsOne) {
  const auto checkpoint = Open(WriteShards(R"({"a":"one.safetensors","b":"two.safetensors"})"));
  EXPECT_THAT(checkpoint->names(), ElementsAre("a", "b"));
  EXPECT_TRUE(checkpoint->Get("a")->equal(torch::ones({2})));
  EXPECT_TRUE(checkpoint->Get("b")->equal(torch::zeros({3})));
  EXPECT_EQ(checkpoint->total_bytes(), 20);
}

// W-06
TEST_F(CheckpointTest, RefusesShardNamesThatLeaveTheFolder) {
  EXPECT_THAT(ErrorOfShardName("../one.safetensors"), HasSubstr("leaves the folder"));
  EXPECT_THAT(ErrorOfShardName("x/../../one.safetensors"), HasSubstr("leaves the folder"));
  EXPECT_THAT(ErrorOfShardName(PathOf("one.safetensors")), HasSubstr("not a relative path"));
  EXPECT_THAT(ErrorOfShardName(""), HasSubstr("not a relative path"));
}

TEST_F(CheckpointTest, RefusesShardsThatLinkOutOfTheFolder) {
  const TemporaryFolder outside;
  ASSERT_TRUE(WriteSafetensors(outside.path() + "/one.safetensors", {{"a", torch::ones({2})}}).ok());
  fs::create_symlink(outside.path() + "/one.safetensors", PathOf("link.safetensors"));
  EXPECT_THAT(ErrorOfShardName("link.safetensors"), HasSubstr("link that leaves the folder"));
  fs::create_symlink(outside.path(), PathOf("folder"));
  EXPECT_THAT(ErrorOfShardName("folder/one.safetensors"), HasSubstr("link that leaves the folder"));
}

// A snapshot as huggingface_hub lays it out: files of a revision are links into the repository's blobs.
class HubCacheTest : public CheckpointTest {
 protected:
  static constexpr char kUnet[] = "hub/models--a--b/snapshots/0123abc/unet/";

  HubCacheTest() {
    AddBlob("models--a--b", "aa", "a");
    AddBlob("models--a--b", "bb", "b");
    AddBlob("models--c--d", "cc", "a");
    folder_.Write("hub/models--a--b/blobs/ii",
                  R"({"weight_map":{"a":"one.safetensors","b":"two.safetensors"}})");
    fs::create_directories(PathOf(kUnet));
    Link("one.safetensors", "../../../blobs/aa");
    Link("two.safetensors", "../../../blobs/bb");
    Link("model.safetensors.index.json", "../../../blobs/ii");
  }

  void AddBlob(const std::string& repository, const std::string& name, const std::string& tensor) {
    const std::string folder = PathOf("hub/" + repository + "/blobs");
    fs::create_directories(folder);
    EXPECT_TRUE(WriteSafetensors(folder + "/" + name, {{tensor, torch::ones({2})}}).ok());
  }

  // Replaces a file of the snapshot.
  void Link(const std::string& name, const std::string& target) {
    fs::remove(PathOf(kUnet + name));
    fs::create_symlink(target, PathOf(kUnet + name));
  }

  std::string Index(const std::string& folder = kUnet) const {
    return PathOf(folder + "model.safetensors.index.json");
  }
};

TEST_F(HubCacheTest, LinksIntoTheRepositorysBlobsAreFollowed) {
  EXPECT_TRUE(Open(Index())->Get("a")->equal(torch::ones({2})));
  Link("two.safetensors", PathOf("hub/models--a--b/blobs/bb"));
  EXPECT_EQ(Open(Index())->names().size(), 2u) << "an absolute link";
}

TEST_F(HubCacheTest, TheSnapshotMayBeReachedThroughLinks) {
  fs::create_directory_symlink(PathOf("hub/models--a--b/snapshots/0123abc"), PathOf("model"));
  EXPECT_EQ(Open(Index("model/unet/"))->names().size(), 2u);
  fs::create_directories(PathOf("parts"));
  fs::create_directory_symlink("../" + std::string(kUnet), PathOf("parts/unet"));
  EXPECT_EQ(Open(Index("parts/unet/"))->names().size(), 2u);
}

TEST_F(HubCacheTest, FilesOfTheSnapshotsOwnFolderAndDeeperFoldersWork) {
  fs::create_directories(PathOf("hub/models--a--b/snapshots/0123abc/x/y"));
  for (const std::string folder : {"", "x/y/"}) {
    const std::string place = "hub/models--a--b/snapshots/0123abc/" + folder;
    const std::string up = folder.empty() ? "../../blobs/" : "../../../../blobs/";
    for (const auto& [name, blob] : {std::pair{"one.safetensors", "aa"},
                                     {"two.safetensors", "bb"},
                                     {"model.safetensors.index.json", "ii"}}) {
      fs::create_symlink(up + blob, PathOf(place + name));
    }
    EXPECT_EQ(Open(Index(place))->names().size(), 2u) << place;
  }
}

TEST_F(HubCacheTest, LinksToAnywhereElseAreRefused) {
  folder_.Write("hub/models--a--b/refs/one", "");
  fs::copy_file(PathOf("hub/models--a--b/blobs/aa"), PathOf("hub/models--a--b/one.safetensors"));
  fs::create_directories(PathOf("hub/models--a--b/snapshots/ffff/unet"));
  fs::copy_file(PathOf("hub/models--a--b/blobs/aa"), PathOf("hub/models--a--b/snapshots/ffff/unet/one"));
  fs::create_directories(PathOf("hub/models--a--b/blobs/deep"));
  fs::copy_file(PathOf("hub/models--a--b/blobs/aa"), PathOf("hub/models--a--b/blobs/deep/aa"));
  fs::copy_file(PathOf("hub/models--a--b/blobs/aa"), PathOf("outside"));
  for (const std::string& target :
       {std::string("../../../../models--c--d/blobs/cc"), std::string("../../../one.safetensors"),
        std::string("../../ffff/unet/one"), std::string("../../../blobs/deep/aa"), PathOf("outside")}) {
    Link("one.safetensors", target);
    EXPECT_THAT(ErrorOf(Index()),
                HasSubstr("shard \"one.safetensors\" is a link that leaves the folder and the "
                          "repository's blobs"))
        << target;
  }
}

TEST_F(HubCacheTest, ABlobThatIsALinkItselfIsRefused) {
  fs::copy_file(PathOf("hub/models--a--b/blobs/aa"), PathOf("outside"));
  fs::remove(PathOf("hub/models--a--b/blobs/aa"));
  fs::create_symlink(PathOf("outside"), PathOf("hub/models--a--b/blobs/aa"));
  EXPECT_THAT(ErrorOf(Index()), HasSubstr("is a link that leaves"));
}

TEST_F(HubCacheTest, AMissingBlobIsAMissingShard) {
  fs::remove(PathOf("hub/models--a--b/blobs/aa"));
  EXPECT_THAT(ErrorOf(Index(), absl::StatusCode::kNotFound),
              HasSubstr("shard \"one.safetensors\" is missing"));
}

TEST_F(HubCacheTest, BlobsBesideAFolderThatIsNoSnapshotAreElsewhere) {
  fs::create_directories(PathOf("plain/unet"));
  AddBlob("../plain", "aa", "a");
  for (const auto& [name, target] : {std::pair{"plain/unet/one.safetensors", "../blobs/aa"},
                                     {"plain/unet/two.safetensors", "../blobs/aa"}}) {
    fs::create_symlink(target, PathOf(name));
  }
  fs::copy_file(PathOf("hub/models--a--b/blobs/ii"), Index("plain/unet/"));
  EXPECT_THAT(ErrorOf(Index("plain/unet/")), HasSubstr("is a link that leaves the folder"));
}

TEST_F(CheckpointTest, AcceptsLinksInsideTheFolder) {
  const std::string index = WriteShards(R"({"a":"link.safetensors","b":"two.safetensors"})");
  fs::create_symlink("one.safetensors", PathOf("link.safetensors"));
  EXPECT_TRUE(Open(index)->Get("a")->equal(torch::ones({2})));
}

TEST_F(CheckpointTest, RefusesMissingAndTruncatedShards) {
  const std::string index = WriteShards(R"({"a":"one.safetensors","b":"two.safetensors"})");
  fs::resize_file(PathOf("two.safetensors"), fs::file_size(PathOf("two.safetensors")) - 1);
  EXPECT_THAT(ErrorOf(index), HasSubstr("two.safetensors: "));
  fs::remove(PathOf("two.safetensors"));
  EXPECT_THAT(ErrorOf(index, absl::StatusCode::kNotFound), HasSubstr("shard \"two.safetensors\" is missing"));
}

TEST_F(CheckpointTest, RefusesATensorInTwoShards) {
  const std::string index = WriteShards(R"({"a":"one.safetensors","b":"two.safetensors"})");
  ASSERT_TRUE(
      WriteSafetensors(PathOf("two.safetensors"), {{"a", torch::ones({2})}, {"b", torch::zeros({3})}}).ok());
  EXPECT_THAT(ErrorOf(index), HasSubstr("tensor \"a\" is in another shard as well"));
}

TEST_F(CheckpointTest, RefusesAnIndexThatContradictsItsShards) {
  EXPECT_THAT(ErrorOf(WriteShards(R"({"a":"one.safetensors","b":"one.safetensors"})")),
              HasSubstr("tensor \"b\" is not in shard \"one.safetensors\""));
  EXPECT_THAT(ErrorOf(WriteShards(R"({"a":"two.safetensors","b":"one.safetensors"})")),
              HasSubstr("is not in shard"));
  ASSERT_TRUE(
      WriteSafetensors(PathOf("three.safetensors"), {{"c", torch::ones({2})}, {"d", torch::ones({2})}}).ok());
  EXPECT_THAT(ErrorOf(WriteShards(R"({"a":"one.safetensors","c":"three.safetensors"})")),
              HasSubstr("tensor \"d\""));
}

TEST_F(CheckpointTest, RefusesMalformedIndexes) {
  EXPECT_THAT(ErrorOf(folder_.Write("i.json", "{}")), HasSubstr("no weight_map"));
  EXPECT_THAT(ErrorOf(folder_.Write("i.json", "[]")), HasSubstr("no weight_map"));
  EXPECT_THAT(ErrorOf(folder_.Write("i.json", R"({"weight_map":{"a":1}})")), HasSubstr("has no shard name"));
  EXPECT_THAT(ErrorOf(WriteShards(R"({"a":"one.safetensors","a":"two.safetensors"})")),
              HasSubstr("key \"a\" appears twice"));
}

}  // namespace
}  // namespace kandinsky
