#include "tools/tiny_model.h"

#include <gtest/gtest.h>
#include <stdlib.h>

#include <algorithm>
#include <cmath>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <map>

#include "pipeline/components/model_configs.h"
#include "pipeline/kandinsky22/networks/load_kandinsky22.h"
#include "pipeline/tokenizers/clip_tokenizer.h"
#include "pipeline/weights/model_directory.h"
#include "pipeline/weights/strict_load.h"
#include "tests/fakes/loaded_pipeline.h"

namespace kandinsky {
namespace {

namespace fs = std::filesystem;

class TinyModelFolder {
 public:
  explicit TinyModelFolder(uint64_t seed, TinyNetwork network = TinyNetwork::kDecoder)
      : path_(fs::temp_directory_path() / "tiny_model_XXXXXX") {
    EXPECT_NE(::mkdtemp(path_.data()), nullptr);
    const absl::Status status = WriteTinyModel(path_, seed, network);
    EXPECT_TRUE(status.ok()) << status;
  }
  ~TinyModelFolder() { fs::remove_all(path_); }
  TinyModelFolder(const TinyModelFolder&) = delete;
  TinyModelFolder& operator=(const TinyModelFolder&) = delete;

  const std::string& path() const { return path_; }

  std::map<std::string, std::string> files() const {
    std::map<std::string, std::string> files;
    for (const auto& entry : fs::recursive_directory_iterator(path_)) {
      if (!entry.is_regular_file()) continue;
      std::ifstream file(entry.path(), std::ios::binary);
      files[fs::relative(entry.path(), path_)] = std::string(std::istreambuf_iterator<char>(file), {});
    }
    return files;
  }

 private:
  std::string path_;
};

template <typename Module, typename Config>
void ExpectLoads(const absl::StatusOr<Config>& config, const NetworkFiles& files) {
  ASSERT_TRUE(config.ok()) << config.status();
  Module module(*config);
  LoadReport report;
  const absl::Status status = LoadStrict(module, *files.weights, {}, &report);
  EXPECT_TRUE(status.ok()) << status;
  EXPECT_TRUE(report.warnings.empty()) << report.ToString();
}

TEST(TinyModelTest, OpensAndLoadsStrictlyLikeAPublishedModel) {
  const TinyModelFolder folder(1);
  const auto model = OpenModelDirectory(folder.path());
  ASSERT_TRUE(model.ok()) << model.status();
  EXPECT_EQ(model->decoder.network, "decoder");
  EXPECT_EQ(model->prior.image_encoder.dtype, torch::kHalf);
  const PriorFiles& prior = model->prior;
  const DecoderFiles& decoder = model->decoder;
  ExpectLoads<ClipTextModelWithProjection>(
      ParseClipTextConfig(prior.text_encoder.config.path, prior.text_encoder.config.json),
      prior.text_encoder);
  ExpectLoads<ClipVisionModelWithProjection>(
      ParseClipVisionConfig(prior.image_encoder.config.path, prior.image_encoder.config.json),
      prior.image_encoder);
  ExpectLoads<PriorTransformer>(ParsePriorConfig(prior.prior.config.path, prior.prior.config.json),
                                prior.prior);
  ExpectLoads<UNet2DConditionModel>(ParseUNetConfig(decoder.unet.config.path, decoder.unet.config.json),
                                    decoder.unet);
  ExpectLoads<VQModel>(ParseVQModelConfig(decoder.movq.config.path, decoder.movq.config.json), decoder.movq);
}

TEST(TinyModelTest, HasATokenizerThatFitsItsTextEncoder) {
  const TinyModelFolder folder(1);
  const auto tokenizer = ClipTokenizer::Load(folder.path() + "/prior/tokenizer");
  ASSERT_TRUE(tokenizer.ok()) << tokenizer.status();
  EXPECT_EQ((*tokenizer)->vocabulary_size(), 914);
  EXPECT_EQ((*tokenizer)->max_length(), 77);
  EXPECT_EQ((*tokenizer)->pad_id(), (*tokenizer)->end_id());
}

TEST(TinyModelTest, IsTheSameForTheSameSeedOnly) {
  const auto files = TinyModelFolder(7).files();
  EXPECT_EQ(files, TinyModelFolder(7).files());
  const auto others = TinyModelFolder(8).files();
  ASSERT_EQ(files.size(), others.size());
  for (const auto& [name, content] : files) {
    EXPECT_EQ(content == others.at(name), fs::path(name).extension() != ".safetensors") << name;
  }
}

TEST(TinyModelTest, StaysBelowFiveMegabytes) {
  size_t bytes = 0;
  for (const auto& [name, content] : TinyModelFolder(1).files()) bytes += content.size();
  EXPECT_LT(bytes, 5'000'000u);
  EXPECT_GT(bytes, 1'000'000u);
}

TEST(TinyModelTest, NamesTheFolderThatCannotBeMade) {
  const TinyModelFolder folder(1);
  const std::string file = folder.path() + "/prior/model_index.json";
  const absl::Status status = WriteTinyModel(file, 1);
  EXPECT_NE(status.message().find(file), std::string::npos) << status;
  EXPECT_FALSE(status.ok());
}

// Mean absolute difference of two images, in gray levels.
double Difference(const Image& a, const Image& b) {
  double sum = 0;
  for (size_t i = 0; i < a.pixels.size(); ++i) sum += std::abs(int{a.pixels[i]} - int{b.pixels[i]});
  return sum / static_cast<double>(a.pixels.size());
}

Image Generate(LoadedPipeline& pipeline, const GenerationRequest& request) {
  auto sample = pipeline.Admit(request);
  EXPECT_TRUE(sample.ok()) << sample.status();
  Sample* const member = sample->get();
  while (member->stage() != Stage::kDone) {
    const absl::Status status = pipeline.Step({&member, 1});
    EXPECT_TRUE(status.ok()) << status;
    if (!status.ok()) return {};
  }
  return *(*member->TakeResult()).image;
}

TEST(TinyModelTest, MakesImagesThatReactToEverySetting) {
  const TinyModelFolder folder(2022);
  auto loaded = LoadKandinsky({.model_name = "tiny", .model_path = folder.path(), .threads = 1}, 1);
  ASSERT_TRUE(loaded.ok()) << loaded.status();
  const auto pipeline = std::make_unique<LoadedPipeline>(*std::move(loaded));

  GenerationRequest base;
  base.prompt = "red cat, 4k photo";
  base.width = 64;
  base.height = 64;
  base.steps = 6;
  base.prior_steps = 5;
  base.seed = 11;
  const Image image = Generate(*pipeline, base);
  EXPECT_EQ(Difference(Generate(*pipeline, base), image), 0);

  std::map<std::string, GenerationRequest> changes;
  for (const char* name :
       {"prompt", "seed", "guidance", "no guidance", "negative", "empty negative", "steps"}) {
    changes[name] = base;
  }
  changes["prompt"].prompt = "a house by the sea";
  changes["seed"].seed = 12;
  changes["guidance"].guidance_scale = 2;
  changes["no guidance"].guidance_scale = 1;
  changes["negative"].negative_prompt = "low quality";
  changes["empty negative"].negative_prompt = "";
  changes["steps"].steps = 8;
  for (const auto& [name, request] : changes) {
    const double difference = Difference(Generate(*pipeline, request), image);
    EXPECT_GT(difference, 2) << name;
  }
  // Not a flat or saturated image.
  const auto extremes = std::count_if(image.pixels.begin(), image.pixels.end(),
                                      [](uint8_t value) { return value == 0 || value == 255; });
  EXPECT_LT(extremes, static_cast<int64_t>(image.pixels.size() / 5));
}

TEST(TinyModelTest, EveryNetworkLoadsAndIsRecognized) {
  const std::map<std::string, TinyNetwork> networks = {{"decoder", TinyNetwork::kDecoder},
                                                       {"inpaint", TinyNetwork::kInpaint},
                                                       {"controlnet_depth", TinyNetwork::kControlNetDepth}};
  for (const auto& [name, network] : networks) {
    const TinyModelFolder folder(3, network);
    const auto loaded =
        LoadKandinsky({.model_name = "tiny", .model_path = folder.path(), .prior_path = "", .threads = 1}, 1);
    ASSERT_TRUE(loaded.ok()) << loaded.status();
    EXPECT_EQ(NetworkNames(loaded->model->capabilities()), name);
    EXPECT_TRUE(loaded->model->capabilities().has_image_encoder);
  }
}

}  // namespace
}  // namespace kandinsky
