#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <torch/types.h>
#include <unistd.h>

#include <filesystem>
#include <map>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "pipeline/kandinsky22/networks/load_kandinsky22.h"
#include "pipeline/weights/lora_keys.h"
#include "pipeline/weights/safetensors.h"
#include "tests/pipeline/kandinsky22/networks/pipeline_test_support.h"

namespace kandinsky {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;

// Low-rank adapters for the golden text-to-image model, in files of their own.
class AdaptersTest : public ::testing::Test {
 protected:
  AdaptersTest() {
    std::filesystem::create_directories(folder_);
    WriteAdapters("decoder/unet", unet_lora_, 0.5);
    WriteAdapters("prior/prior", prior_lora_, 0.2);
  }
  ~AdaptersTest() override { std::filesystem::remove_all(folder_); }

  static PipelineOptions Golden() {
    return {.model_name = "golden", .model_path = GoldenDirectory() + "/models/b", .threads = 1};
  }

  static absl::StatusOr<std::unique_ptr<LoadedPipeline>> Load(const PipelineOptions& options) {
    auto loaded = LoadKandinsky(options, 1);
    if (!loaded.ok()) return loaded.status();
    return std::make_unique<LoadedPipeline>(*std::move(loaded));
  }

  // The golden model with these adapters in its weights.
  static std::unique_ptr<LoadedPipeline> LoadMerged(const std::string& unet_lora,
                                                    const std::string& prior_lora, double scale = 1.0) {
    PipelineOptions options = Golden();
    options.unet_lora_path = unet_lora;
    options.prior_lora_path = prior_lora;
    options.lora_scale = scale;
    return std::move(*Load(options));
  }

  // One that offers them by name: "unet", "prior", "both", and "weak", the two at half their strength.
  std::unique_ptr<LoadedPipeline> LoadOffering() const {
    PipelineOptions options = Golden();
    options.adapters = {
        {.name = "unet", .unet_lora_path = unet_lora_},
        {.name = "prior", .prior_lora_path = prior_lora_},
        {.name = "both", .unet_lora_path = unet_lora_, .prior_lora_path = prior_lora_},
        {.name = "weak", .unet_lora_path = unet_lora_, .prior_lora_path = prior_lora_, .scale = 0.5}};
    return std::move(*Load(options));
  }

  static GenerationRequest With(const std::string& adapter, uint64_t seed = 1) {
    GenerationRequest request = TinyRequest(seed);
    request.adapter = adapter;
    return request;
  }

  const std::filesystem::path folder_ =
      std::filesystem::temp_directory_path() / ("kandinsky_adapters_" + std::to_string(::getpid()));
  const std::string unet_lora_ = folder_ / "unet.safetensors";
  const std::string prior_lora_ = folder_ / "prior.safetensors";

 private:
  // For every to_q of a network.
  static void WriteAdapters(const std::string& network, const std::string& path, double value) {
    const auto weights =
        OpenCheckpoint(GoldenDirectory() + "/models/b/" + network + "/diffusion_pytorch_model.safetensors")
            .value();
    std::vector<std::pair<std::string, torch::Tensor>> adapters;
    for (const std::string& name : weights->names()) {
      if (!name.ends_with(".to_q.weight")) continue;
      const std::vector<int64_t>& shape = weights->Find(name)->shape;
      const std::string layer = name.substr(0, name.size() - std::string(".weight").size());
      const LoraKeys keys = LoraKeysOf(layer, LoraForm::kPeft);
      adapters.emplace_back(keys.down, torch::full({1, shape[1]}, value));
      adapters.emplace_back(keys.up, torch::full({shape[0], 1}, value));
    }
    ASSERT_FALSE(adapters.empty());
    ASSERT_TRUE(WriteSafetensors(path, adapters).ok());
  }
};

TEST_F(AdaptersTest, MergedOnesChangeTheImageByTheirStrength) {
  const GenerationRequest request = TinyRequest(1);
  const auto plain = RunAlone(*LoadGoldenPipeline(), request);
  EXPECT_EQ(RelativeDifference(RunAlone(*LoadMerged(unet_lora_, "", 0.0), request), plain), 0);
  EXPECT_GT(RelativeDifference(RunAlone(*LoadMerged(unet_lora_, "", 1.0), request), plain), 0);
}

TEST_F(AdaptersTest, OfAnotherNetworkAreRefusedByName) {
  PipelineOptions merged = Golden();
  merged.prior_lora_path = unet_lora_;
  PipelineOptions offered = Golden();
  offered.adapters = {{.name = "wrong", .prior_lora_path = unet_lora_}};
  for (const PipelineOptions& options : {merged, offered}) {
    const absl::Status status = Load(options).status();
    EXPECT_EQ(status.code(), absl::StatusCode::kInvalidArgument);
    EXPECT_THAT(std::string(status.message()), HasSubstr(unet_lora_));
  }
  EXPECT_THAT(std::string(Load(offered).status().message()), HasSubstr("adapters \"wrong\""));
  offered.adapters = {{.name = "missing", .unet_lora_path = unet_lora_ + ".missing"}};
  EXPECT_EQ(Load(offered).status().code(), absl::StatusCode::kNotFound);
}

TEST_F(AdaptersTest, ARequestThatChoosesThemGetsWhatMergedOnesGive) {
  const auto offering = LoadOffering();
  const auto expect_equal = [&](const std::string& adapter, LoadedPipeline& merged) {
    const GenerationRequest request = With(adapter);
    EXPECT_EQ(RelativeDifference(RunAlone(*offering, request), RunAlone(merged, With(""))), 0) << adapter;
    GenerationRequest embedding = request;
    embedding.task = EmbedPrompt{};
    GenerationRequest plain = embedding;
    plain.adapter = "";
    EXPECT_EQ(RelativeDifference(RunAlone(*offering, embedding), RunAlone(merged, plain)), 0) << adapter;
  };
  expect_equal("", *LoadGoldenPipeline());
  expect_equal("unet", *LoadMerged(unet_lora_, ""));
  expect_equal("prior", *LoadMerged("", prior_lora_));
  expect_equal("both", *LoadMerged(unet_lora_, prior_lora_));
  expect_equal("weak", *LoadMerged(unet_lora_, prior_lora_, 0.5));
  // The images differ indeed, and what was encoded for the others is not taken for a request without.
  const auto plain = RunAlone(*offering, With(""));
  EXPECT_EQ(RelativeDifference(plain, RunAlone(*LoadGoldenPipeline(), With(""))), 0);
  for (const char* adapter : {"unet", "prior", "both", "weak"}) {
    EXPECT_GT(RelativeDifference(RunAlone(*offering, With(adapter)), plain), 1e-3) << adapter;
  }
}

TEST_F(AdaptersTest, ChosenOnesComeOnTopOfMergedOnes) {
  PipelineOptions options = Golden();
  options.unet_lora_path = unet_lora_;
  options.lora_scale = 0.5;
  options.adapters = {{.name = "more", .unet_lora_path = unet_lora_, .scale = 0.5},
                      {.name = "prior", .prior_lora_path = prior_lora_}};
  const auto offering = std::move(*Load(options));
  EXPECT_LE(
      RelativeDifference(RunAlone(*offering, With("more")), RunAlone(*LoadMerged(unet_lora_, ""), With(""))),
      1e-5);
  options.adapters.clear();
  options.prior_lora_path = prior_lora_;
  options.lora_scale = 1;
  const auto offering_prior = [&] {
    PipelineOptions base = Golden();
    base.unet_lora_path = unet_lora_;
    base.adapters = {{.name = "prior", .prior_lora_path = prior_lora_}};
    return std::move(*Load(base));
  }();
  EXPECT_EQ(RelativeDifference(RunAlone(*offering_prior, With("prior")), RunAlone(**Load(options), With(""))),
            0);
}

TEST_F(AdaptersTest, RequestsWithDifferentOnesSpoilNoneOfTheirNeighbors) {
  const auto offering = LoadOffering();
  std::vector<GenerationRequest> requests;
  std::vector<int> joins;
  for (const char* adapter : {"both", "", "unet", "both", "prior", "", "weak"}) {
    requests.push_back(With(adapter, 20 + requests.size() / 2));
    joins.push_back(static_cast<int>(requests.size()) / 3);
  }
  const std::vector<GenerationResult> together = RunBatched(*offering, requests, joins, 8);
  ASSERT_EQ(together.size(), requests.size());
  for (size_t i = 0; i < requests.size(); ++i) {
    EXPECT_TRUE(SameBits(together[i], RunAlone(*LoadOffering(), requests[i]))) << i;
  }
}

TEST_F(AdaptersTest, StepsOfNetworksThatTheyLeaveAloneAreShared) {
  const auto offering = LoadOffering();
  // The adapter of the batch key, by network.
  const auto adapters = [&](const std::string& adapter) {
    std::map<std::string, std::string> by_network;
    const auto sample = std::move(*offering->Admit(With(adapter)));
    Sample* const pointer = sample.get();
    while (sample->stage() != Stage::kDone) {
      by_network[sample->batch_key().network] = sample->batch_key().adapter;
      EXPECT_TRUE(offering->Step({&pointer, 1}).ok());
    }
    return by_network;
  };
  using Map = std::map<std::string, std::string>;
  EXPECT_EQ(adapters(""), (Map{{"text_encoder", ""}, {"prior", ""}, {"decoder", ""}, {"movq", ""}}));
  EXPECT_EQ(adapters("unet"), (Map{{"text_encoder", ""}, {"prior", ""}, {"decoder", "unet"}, {"movq", ""}}));
  EXPECT_EQ(adapters("prior"),
            (Map{{"text_encoder", "prior"}, {"prior", "prior"}, {"decoder", ""}, {"movq", ""}}));
  EXPECT_EQ(adapters("both"),
            (Map{{"text_encoder", "both"}, {"prior", "both"}, {"decoder", "both"}, {"movq", ""}}));
}

TEST_F(AdaptersTest, AreOfferedByNameAndTakeTheMemoryOfTheWeightsTheyChange) {
  const auto offering = LoadOffering();
  const auto plain = LoadGoldenPipeline();
  EXPECT_THAT(offering->capabilities().adapters, ElementsAre("unet", "prior", "both", "weak"));
  EXPECT_TRUE(plain->capabilities().adapters.empty());
  int64_t unet_bytes = 0;
  int64_t prior_bytes = 0;
  for (auto [path, bytes] : {std::pair(&unet_lora_, &unet_bytes), std::pair(&prior_lora_, &prior_bytes)}) {
    const auto file = OpenCheckpoint(*path).value();
    std::map<std::string, int64_t> sides;  // rank 1: a factor's size is the side of its weight
    for (const std::string& name : file->names()) {
      const std::vector<int64_t>& shape = file->Find(name)->shape;
      int64_t& product = sides.try_emplace(name.substr(0, name.find(".lora_")), 1).first->second;
      product *= shape[0] * shape[1];
    }
    for (const auto& [layer, elements] : sides) *bytes += elements * int64_t{sizeof(float)};
  }
  EXPECT_EQ(offering->capabilities().weight_bytes - plain->capabilities().weight_bytes,
            3 * (unet_bytes + prior_bytes));
}

TEST_F(AdaptersTest, UnknownOnesAndTasksWithoutAnAdaptedNetworkAreRefused) {
  const auto offering = LoadOffering();
  const auto refused = [&](const GenerationRequest& request) {
    const absl::Status status = offering->Admit(request).status();
    return status.code() == absl::StatusCode::kInvalidArgument &&
           status.message().find("adapter") != absl::string_view::npos;
  };
  EXPECT_TRUE(refused(With("another")));
  for (GenerationRequest request : TinyTaskRequests(offering->capabilities())) {
    request.adapter = "both";
    const bool adapted = MakesImage(request.task) || std::holds_alternative<EmbedPrompt>(request.task);
    EXPECT_EQ(refused(request), !adapted) << TaskName(request.task);
  }
}

}  // namespace
}  // namespace kandinsky
