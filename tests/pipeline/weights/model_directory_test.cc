#include "pipeline/weights/model_directory.h"

#include <ATen/ATen.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <filesystem>

#include "tests/pipeline/weights/weights_test_support.h"

namespace kandinsky {
namespace {

namespace fs = std::filesystem;
using ::testing::HasSubstr;
using ::testing::Not;

constexpr char kUNetConfig[] = R"({"addition_embed_type":"image","in_channels":4,"encoder_hid_dim":32})";

class ModelDirectoryTest : public ::testing::Test {
 protected:
  ModelDirectoryTest() {
    WritePrior("prior", "prior/");
    WriteDecoder("decoder");
  }

  void WriteNetwork(const std::string& folder, const std::string& weights, const std::string& config,
                    torch::ScalarType dtype = torch::kFloat) {
    folder_.Write(folder + "/config.json", config);
    EXPECT_TRUE(WriteSafetensors(PathOf(folder + "/" + weights), {{"w", torch::ones({4}, dtype)},
                                                                  {"ids", torch::ones({99}, torch::kLong)},
                                                                  {"mean", torch::ones({1}, torch::kDouble)}})
                    .ok());
  }

  // `prefix` leads to each component's folder.
  void WritePrior(const std::string& directory, const std::string& prefix) {
    folder_.Write(directory + "/model_index.json", R"({"_class_name":"Whatever"})");
    WriteNetwork(prefix + "prior", "diffusion_pytorch_model.safetensors", R"({"embedding_dim":32})");
    WriteNetwork(prefix + "text_encoder", "model.safetensors", R"({"projection_dim":32})");
    WriteNetwork(prefix + "image_encoder", "model.safetensors", R"({"projection_dim":32})", torch::kHalf);
    folder_.Write(prefix + "tokenizer/vocab.json", "{}");
    folder_.Write(prefix + "tokenizer/merges.txt", "#version: 0.2\n");
    folder_.Write(prefix + "scheduler/scheduler_config.json", R"({"clip_sample_range":10.0})");
    folder_.Write(prefix + "image_processor/preprocessor_config.json", R"({"crop_size":28})");
  }

  void WriteDecoder(const std::string& directory) {
    folder_.Write(directory + "/model_index.json", "{}");
    WriteNetwork(directory + "/unet", "diffusion_pytorch_model.safetensors", kUNetConfig);
    WriteNetwork(directory + "/movq", "diffusion_pytorch_model.safetensors", R"({"latent_channels":4})");
    folder_.Write(directory + "/scheduler/scheduler_config.json", R"({"clip_sample":true})");
  }

  std::string PathOf(const std::string& name) const { return folder_.path() + "/" + name; }
  void Remove(const std::string& name) { EXPECT_TRUE(fs::remove(PathOf(name))) << name; }

  absl::StatusOr<ModelDirectory> Open() { return OpenModelDirectory(PathOf("prior"), PathOf("decoder")); }

  std::string ErrorOf(absl::StatusCode code) {
    const auto model = Open();
    EXPECT_EQ(model.status().code(), code) << model.status();
    return std::string(model.status().message());
  }

  std::string NetworkOf(const std::string& unet_config) {
    folder_.Write("decoder/unet/config.json", unet_config);
    const auto model = Open();
    EXPECT_TRUE(model.ok()) << model.status();
    return model->decoder.network;
  }

  const TemporaryFolder folder_;
};

TEST_F(ModelDirectoryTest, FindsEveryPartOfAPair) {
  const auto model = Open();
  ASSERT_TRUE(model.ok()) << model.status();
  EXPECT_EQ(model->family, "2.2");
  EXPECT_EQ(model->decoder.network, "decoder");
  EXPECT_EQ(model->prior.prior.config.json["embedding_dim"], 32);
  EXPECT_EQ(model->prior.text_encoder.folder, PathOf("prior/text_encoder"));
  EXPECT_EQ(model->prior.tokenizer_folder, PathOf("prior/tokenizer"));
  EXPECT_EQ(model->prior.scheduler.json["clip_sample_range"], 10.0);
  EXPECT_EQ(model->prior.image_processor.json["crop_size"], 28);
  EXPECT_EQ(model->decoder.unet.config.path, PathOf("decoder/unet/config.json"));
  EXPECT_EQ(model->decoder.movq.config.json["latent_channels"], 4);
  EXPECT_EQ(model->decoder.scheduler.json["clip_sample"], true);
  EXPECT_TRUE(model->decoder.unet.weights->Get("w").ok());
}

TEST_F(ModelDirectoryTest, TellsTheDtypeOfEachNetworkFromItsWeights) {
  const auto model = Open();
  ASSERT_TRUE(model.ok()) << model.status();
  EXPECT_EQ(model->prior.image_encoder.dtype, torch::kHalf);
  EXPECT_EQ(model->prior.prior.dtype, torch::kFloat);
}

TEST_F(ModelDirectoryTest, OpensAFolderThatHoldsPriorAndDecoder) {
  const auto model = OpenModelDirectory(folder_.path());
  ASSERT_TRUE(model.ok()) << model.status();
  EXPECT_EQ(model->decoder.unet.folder, PathOf("decoder/unet"));
}

TEST_F(ModelDirectoryTest, OpensTheLayoutOfCombinedPipelines) {
  WritePrior("combined", "combined/prior_");
  WriteDecoder("combined");
  const auto model = OpenModelDirectory(PathOf("combined"));
  ASSERT_TRUE(model.ok()) << model.status();
  EXPECT_EQ(model->prior.prior.folder, PathOf("combined/prior_prior"));
  EXPECT_EQ(model->prior.scheduler.json["clip_sample_range"], 10.0);
  EXPECT_EQ(model->decoder.scheduler.json["clip_sample"], true);
}

TEST_F(ModelDirectoryTest, AsksForThePriorWhenOnlyADecoderIsGiven) {
  const auto model = OpenModelDirectory(PathOf("decoder"));
  EXPECT_EQ(model.status().code(), absl::StatusCode::kNotFound);
  EXPECT_THAT(std::string(model.status().message()), HasSubstr("a decoder needs its prior's directory"));
}

TEST_F(ModelDirectoryTest, DetectsTheNetworkFromTheUNetConfiguration) {
  EXPECT_EQ(NetworkOf(kUNetConfig), "decoder");
  EXPECT_EQ(NetworkOf(R"({"addition_embed_type":"image","in_channels":9,"encoder_hid_dim":32})"), "inpaint");
  EXPECT_EQ(NetworkOf(R"({"addition_embed_type":"image_hint","in_channels":8,"encoder_hid_dim":32})"),
            "controlnet_depth");
}

TEST_F(ModelDirectoryTest, RefusesOtherFamilies) {
  folder_.Write("decoder/unet/config.json", R"({"addition_embed_type":"text_image","in_channels":4})");
  EXPECT_THAT(ErrorOf(absl::StatusCode::kInvalidArgument), HasSubstr("this is Kandinsky 2.1"));
  for (const char* config : {"{}", R"({"addition_embed_type":"image","in_channels":8})",
                             R"({"addition_embed_type":null,"in_channels":4})"}) {
    folder_.Write("decoder/unet/config.json", config);
    EXPECT_THAT(ErrorOf(absl::StatusCode::kInvalidArgument), HasSubstr("not a Kandinsky 2.2 decoder"))
        << config;
  }
}

TEST_F(ModelDirectoryTest, RefusesAPriorOfAnotherWidth) {
  folder_.Write("prior/prior/config.json", R"({"embedding_dim":768})");
  EXPECT_THAT(ErrorOf(absl::StatusCode::kInvalidArgument), HasSubstr("makes embeddings of size 768"));
}

TEST_F(ModelDirectoryTest, ListsEveryMissingFileOnALineOfItsOwn) {
  for (const char* name :
       {"prior/prior/config.json", "prior/text_encoder/model.safetensors", "prior/tokenizer/merges.txt",
        "prior/image_processor/preprocessor_config.json", "decoder/unet/diffusion_pytorch_model.safetensors",
        "decoder/scheduler/scheduler_config.json"}) {
    Remove(name);
  }
  const std::string error = ErrorOf(absl::StatusCode::kNotFound);
  EXPECT_EQ(error, "missing " + PathOf("prior/prior/config.json") + "\nmissing " +
                       PathOf("prior/text_encoder/model.safetensors") + "\nmissing " +
                       PathOf("prior/tokenizer/merges.txt") + "\nmissing " +
                       PathOf("prior/image_processor/preprocessor_config.json") + "\nmissing " +
                       PathOf("decoder/unet/diffusion_pytorch_model.safetensors") + "\nmissing " +
                       PathOf("decoder/scheduler/scheduler_config.json"));
}

TEST_F(ModelDirectoryTest, NamesAMissingDirectory) {
  const auto model = OpenModelDirectory(PathOf("prior"), PathOf("absent"));
  EXPECT_EQ(model.status().code(), absl::StatusCode::kNotFound);
  EXPECT_EQ(model.status().message(), "missing " + PathOf("absent"));
  EXPECT_EQ(OpenModelDirectory(PathOf("absent")).status().code(), absl::StatusCode::kNotFound);
}

TEST_F(ModelDirectoryTest, SaysThatPickledWeightsMustBeConverted) {
  Remove("prior/text_encoder/model.safetensors");
  for (const char* name : {"pytorch_model.bin", "model.bin", "pytorch_model.fp16.bin",
                           "pytorch_model.bin.index.json", "pytorch_model.bin.index.fp16.json"}) {
    folder_.Write(std::string("prior/text_encoder/") + name, "PK");
    EXPECT_EQ(ErrorOf(absl::StatusCode::kNotFound),
              "missing " + PathOf("prior/text_encoder/model.safetensors") + " (" +
                  PathOf("prior/text_encoder/") + name +
                  " is a pickled PyTorch file; convert it to safetensors)");
    Remove(std::string("prior/text_encoder/") + name);
  }
}

TEST_F(ModelDirectoryTest, SaysWhereALinkToNothingLeads) {
  Remove("decoder/unet/diffusion_pytorch_model.safetensors");
  fs::create_symlink("../../blobs/abc", PathOf("decoder/unet/diffusion_pytorch_model.safetensors"));
  Remove("prior/prior/config.json");
  fs::create_symlink("../../blobs/def", PathOf("prior/prior/config.json"));
  const std::string error = ErrorOf(absl::StatusCode::kNotFound);
  EXPECT_THAT(error, HasSubstr("diffusion_pytorch_model.safetensors (a link to ../../blobs/abc"));
  EXPECT_THAT(error, HasSubstr("prior/prior/config.json (a link to ../../blobs/def"));
}

// One generation of names for weights, which "NAME" and "VARIANT" stand for.
struct Generation {
  const char* file;  // single file, or the first of two shards
  const char* index = nullptr;
};

class WeightsNamesTest : public ModelDirectoryTest, public ::testing::WithParamInterface<Generation> {
 protected:
  static std::string Filled(std::string name, const std::string& weights, const std::string& variant) {
    for (const auto& [key, value] : {std::pair{"NAME", weights}, {"VARIANT", variant}}) {
      for (size_t at = name.find(key); at != std::string::npos; at = name.find(key)) {
        name.replace(at, std::string(key).size(), value);
      }
    }
    return name;
  }

  // Replaces the weights of a network.
  void Rename(const std::string& folder, const std::string& weights, const std::string& variant) {
    const std::string file = Filled(GetParam().file, weights, variant);
    const std::string old = PathOf(folder + "/" + weights + ".safetensors");
    fs::rename(old, PathOf(folder + "/" + file));
    if (GetParam().index == nullptr) return;
    folder_.Write(folder + "/" + Filled(GetParam().index, weights, variant),
                  R"({"metadata":{},"weight_map":{"w":")" + file + R"(","ids":")" + file + R"(","mean":")" +
                      file + "\"}}");
  }
};

TEST_P(WeightsNamesTest, AreFound) {
  const std::string file = GetParam().file;
  const std::string index = GetParam().index == nullptr ? "" : GetParam().index;
  const bool varies = (file + index).find("VARIANT") != std::string::npos;
  for (const std::string& variant :
       varies ? std::vector<std::string>{"fp16", "bf16"} : std::vector<std::string>{""}) {
    WritePrior("prior", "prior/");
    WriteDecoder("decoder");
    Rename("prior/text_encoder", "model", variant);
    Rename("decoder/unet", "diffusion_pytorch_model", variant);
    const auto model = Open();
    ASSERT_TRUE(model.ok()) << model.status();
    EXPECT_EQ(model->prior.text_encoder.weights->names().size(), 3u);
    EXPECT_EQ(model->decoder.unet.weights->names().size(), 3u);
    fs::remove_all(PathOf("prior/text_encoder"));
    fs::remove_all(PathOf("decoder/unet"));
  }
}

INSTANTIATE_TEST_SUITE_P(
    EveryGeneration, WeightsNamesTest,
    ::testing::Values(
        Generation{"NAME.safetensors"}, Generation{"NAME.VARIANT.safetensors"},
        Generation{"NAME-00001-of-00002.safetensors", "NAME.safetensors.index.json"},
        Generation{"NAME.VARIANT-00001-of-00002.safetensors", "NAME.safetensors.index.VARIANT.json"},
        Generation{"NAME-00001-of-00002.VARIANT.safetensors", "NAME.safetensors.index.VARIANT.json"},
        Generation{"NAME-00001-of-00002.VARIANT.safetensors", "NAME.safetensors.VARIANT.index.json"},
        Generation{"NAME.VARIANT-00001-of-00002.safetensors", "NAME.safetensors.VARIANT.index.json"},
        Generation{"NAME.VARIANT-00001-of-00002.safetensors", "NAME.VARIANT.safetensors.index.json"}));

TEST_F(ModelDirectoryTest, OfAFileAndAnIndexEachLibraryTakesItsOwn) {
  for (const std::string& folder :
       {std::string("prior/text_encoder/model"), std::string("decoder/unet/diffusion_pytorch_model")}) {
    folder_.Write(folder + ".safetensors.index.json", R"({"weight_map":{"x":"x.safetensors"}})");
    ASSERT_TRUE(
        WriteSafetensors(fs::path(PathOf(folder)).parent_path() / "x.safetensors", {{"x", torch::ones({1})}})
            .ok());
  }
  const auto model = Open();
  ASSERT_TRUE(model.ok()) << model.status();
  EXPECT_TRUE(model->prior.text_encoder.weights->Get("w").ok()) << "transformers prefers the file";
  EXPECT_TRUE(model->decoder.unet.weights->Get("x").ok()) << "diffusers prefers the index";
}

TEST_F(ModelDirectoryTest, FullPrecisionComesBeforeAVariant) {
  ASSERT_TRUE(WriteSafetensors(PathOf("decoder/unet/diffusion_pytorch_model.fp16.safetensors"),
                               {{"x", torch::ones({1}, torch::kHalf)}})
                  .ok());
  EXPECT_TRUE(Open()->decoder.unet.weights->Get("w").ok());
}

TEST_F(ModelDirectoryTest, AcceptsTheNewTokenizerLayoutAndShardedWeights) {
  Remove("prior/tokenizer/vocab.json");
  Remove("prior/tokenizer/merges.txt");
  folder_.Write("prior/tokenizer/tokenizer.json", "{}");
  fs::rename(PathOf("prior/text_encoder/model.safetensors"), PathOf("prior/text_encoder/shard.safetensors"));
  folder_.Write(
      "prior/text_encoder/model.safetensors.index.json",
      R"({"weight_map":{"w":"shard.safetensors","ids":"shard.safetensors","mean":"shard.safetensors"}})");
  const auto model = Open();
  ASSERT_TRUE(model.ok()) << model.status();
  EXPECT_TRUE(model->prior.text_encoder.weights->Get("w").ok());
}

TEST_F(ModelDirectoryTest, NeedsNoModelIndexButRefusesABrokenOne) {
  folder_.Write("decoder/model_index.json", "not JSON");
  EXPECT_THAT(ErrorOf(absl::StatusCode::kInvalidArgument),
              HasSubstr("decoder/model_index.json: not valid JSON"));
  Remove("decoder/model_index.json");
  EXPECT_TRUE(Open().ok());
}

TEST_F(ModelDirectoryTest, ListsEveryMalformedFile) {
  folder_.Write("prior/prior/config.json", "[]");
  folder_.Write("decoder/scheduler/scheduler_config.json", R"({"a":1,"a":2})");
  folder_.Write("decoder/movq/diffusion_pytorch_model.safetensors", "short");
  const std::string error = ErrorOf(absl::StatusCode::kInvalidArgument);
  EXPECT_THAT(error, HasSubstr("prior/prior/config.json: not a JSON object"));
  EXPECT_THAT(error, HasSubstr("scheduler_config.json: key \"a\" appears twice"));
  EXPECT_THAT(error, HasSubstr("diffusion_pytorch_model.safetensors: header too small"));
  EXPECT_EQ(std::count(error.begin(), error.end(), '\n'), 2);
}

}  // namespace
}  // namespace kandinsky
