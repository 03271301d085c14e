// One model with several networks that denoise: models/shapes, which has all three.

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <filesystem>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "pipeline/kandinsky22/networks/load_kandinsky22.h"
#include "tests/pipeline/kandinsky22/networks/pipeline_test_support.h"
#include "tests/training/temporary_folder.h"

namespace kandinsky {
namespace {

namespace fs = std::filesystem;
using ::testing::ElementsAre;
using ::testing::HasSubstr;

const std::string kShapes = KANDINSKY_SOURCE_DIR "/models/shapes";

Capabilities Of(Capabilities capabilities, const std::string& network) {
  capabilities.networks = {network};
  return capabilities;
}

// Requests of every task, which the pair of a folder with one network serves too.
std::vector<std::pair<std::string, GenerationRequest>> RequestsByFolder(const Capabilities& capabilities) {
  std::vector<std::pair<std::string, GenerationRequest>> requests;
  for (const auto& [network, folder] :
       {std::pair("inpaint", "/inpaint"), std::pair("controlnet_depth", "/depth"),
        std::pair("decoder", "/decoder")}) {
    for (GenerationRequest& request : TinyTaskRequests(Of(capabilities, network))) {
      requests.emplace_back(folder, std::move(request));
    }
  }
  return requests;
}

TEST(SeveralNetworksTest, OneModelOffersAllTasksAndHoldsWhatTheyShareOnce) {
  const auto all = LoadPipeline(kShapes);
  const Capabilities& capabilities = all->capabilities();
  EXPECT_THAT(capabilities.networks, ElementsAre("decoder", "inpaint", "controlnet_depth"));
  const auto bytes = [](const std::string& decoder, std::vector<std::string> further) {
    const auto loaded = LoadKandinsky({.model_path = kShapes + decoder,
                                       .prior_path = kShapes + "/prior",
                                       .network_paths = std::move(further),
                                       .threads = 1},
                                      1);
    EXPECT_TRUE(loaded.ok()) << loaded.status();
    return loaded->model->capabilities().weight_bytes;
  };
  const int64_t decoder = bytes("/decoder", {});
  const int64_t inpaint = bytes("/inpaint/decoder", {});
  const int64_t depth = bytes("/depth/decoder", {});
  const int64_t shared = decoder + inpaint - bytes("/decoder", {kShapes + "/inpaint"});
  EXPECT_GT(shared, 0);
  EXPECT_EQ(capabilities.weight_bytes, decoder + inpaint + depth - 2 * shared);
}

TEST(SeveralNetworksTest, TasksOfDifferentNetworksGiveTogetherTheBitsOfEachNetworkAlone) {
  const auto all = LoadPipeline(kShapes);
  const auto requests = RequestsByFolder(all->capabilities());
  std::vector<GenerationRequest> together;
  for (const auto& [folder, request] : requests) together.push_back(request);
  const std::vector<int> joins(together.size(), 0);
  const std::vector<GenerationResult> results = RunBatched(*all, together, joins, 8);
  const auto inpaint = LoadPipeline(kShapes + "/inpaint");
  const auto depth = LoadPipeline(kShapes + "/depth");
  for (size_t i = 0; i < requests.size(); ++i) {
    const auto& [folder, request] = requests[i];
    LoadedPipeline& alone = folder == "/inpaint" ? *inpaint : folder == "/depth" ? *depth : *all;
    EXPECT_TRUE(SameBits(results[i], RunAlone(alone, request))) << folder << " " << i;
  }
}

TEST(SeveralNetworksTest, StepsOfThePriorAreSharedByTasksOfDifferentNetworks) {
  const auto all = LoadPipeline(kShapes);
  std::vector<std::unique_ptr<Sample>> samples;
  for (const char* network : {"decoder", "inpaint", "controlnet_depth"}) {
    const auto requests = TinyTaskRequests(Of(all->capabilities(), network));
    samples.push_back(*all->Admit(requests.front()));
  }
  std::vector<Sample*> batch;
  for (const auto& sample : samples) batch.push_back(sample.get());
  EXPECT_EQ(batch[0]->batch_key(), batch[1]->batch_key());
  ASSERT_TRUE(all->Step(batch).ok());
  // The inpainting still encodes its image, in a step of its own.
  Sample* inpaint[] = {batch[1]};
  while (batch[1]->stage() == Stage::kEncode) ASSERT_TRUE(all->Step(inpaint).ok());
  ASSERT_EQ(batch[0]->stage(), Stage::kPrior);
  EXPECT_EQ(batch[0]->batch_key(), batch[1]->batch_key());
  EXPECT_EQ(batch[0]->batch_key(), batch[2]->batch_key());
  EXPECT_TRUE(all->Step(batch).ok());
}

// A folder of links into models/shapes.
class MixedFolder : public ::testing::Test {
 protected:
  absl::Status LoadStatus(std::vector<std::string> network_paths) {
    return LoadKandinsky({.model_name = "m",
                          .model_path = kShapes + "/decoder",
                          .prior_path = kShapes + "/prior",
                          .network_paths = std::move(network_paths),
                          .threads = 1},
                         1)
        .status();
  }

  const testing::TemporaryFolder temporary_;
  const fs::path folder_ = temporary_.path();
};

TEST_F(MixedFolder, FurtherNetworksMayBeNamed) {
  EXPECT_EQ(LoadStatus({kShapes + "/inpaint/decoder", kShapes + "/depth"}), absl::OkStatus());
}

TEST_F(MixedFolder, TwoNetworksForOneTaskAreRefused) {
  const absl::Status status = LoadStatus({kShapes + "/decoder"});
  EXPECT_EQ(status.code(), absl::StatusCode::kInvalidArgument);
  EXPECT_THAT(std::string(status.message()), HasSubstr("two decoder networks in one model"));
}

TEST_F(MixedFolder, AnotherAutoencoderIsRefused) {
  for (const char* part : {"unet", "scheduler"}) {
    fs::create_directory_symlink(kShapes + "/inpaint/decoder/" + part, folder_ / part);
  }
  fs::create_directories(folder_ / "movq");
  for (const char* file : {"config.json", "diffusion_pytorch_model.safetensors"}) {
    fs::copy_file(kShapes + "/decoder/movq/" + file, folder_ / "movq" / file);
  }
  EXPECT_EQ(LoadStatus({folder_.string()}), absl::OkStatus()) << "a copy is the same";
  std::string weights = folder_ / "movq/diffusion_pytorch_model.safetensors";
  std::FILE* const file = std::fopen(weights.c_str(), "r+b");
  std::fseek(file, -1, SEEK_END);
  std::fputc(1, file);
  std::fclose(file);
  const absl::Status status = LoadStatus({folder_.string()});
  EXPECT_EQ(status.code(), absl::StatusCode::kInvalidArgument);
  EXPECT_THAT(std::string(status.message()), HasSubstr("not the image autoencoder of"));
}

TEST_F(MixedFolder, AMissingNetworkIsNamed) {
  EXPECT_EQ(LoadStatus({(folder_ / "absent").string()}).code(), absl::StatusCode::kNotFound);
}

}  // namespace
}  // namespace kandinsky
