#include "training/run_training.h"

#include <ATen/ATen.h>
#include <ATen/CPUGeneratorImpl.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <atomic>
#include <filesystem>
#include <fstream>
#include <memory>
#include <sstream>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "imaging/png.h"
#include "pipeline/kandinsky22/networks/load_kandinsky22.h"
#include "pipeline/weights/safetensors.h"
#include "tests/fakes/loaded_pipeline.h"
#include "tests/pipeline/kandinsky22/networks/small_latent_cells.h"
#include "tests/training/temporary_folder.h"
#include "tools/tiny_model.h"
#include "training/decoder_task.h"
#include "training/frozen_networks.h"
#include "training/image_features.h"
#include "training/training_estimate.h"
#include "training/training_task.h"

// Whole trainings of the tiny model on a few images.

namespace kandinsky::training {
namespace {

namespace fs = std::filesystem;
using ::testing::AllOf;
using ::testing::HasSubstr;
using ::testing::Not;
using ::testing::StartsWith;

constexpr int kImages = 6;
constexpr int kSize = 64;

class RunTrainingTest : public ::testing::Test {
 protected:
  RunTrainingTest() {
    options_.decoder_path = Model(TinyNetwork::kDecoder);
    options_.data.path = folder_.path() + "/data.jsonl";
    options_.data.resolution = kSize;
    options_.output_folder = folder_.path() + "/out";
    options_.batch_size = 2;
    options_.max_steps = 3;
    options_.threads = 1;
    options_.log_every_steps = 1;
    std::ofstream table(options_.data.path);
    for (int i = 0; i < kImages; ++i) {
      WriteImage(absl::StrCat(i, ".png"), i);
      table << absl::StrCat(R"({"image": ")", i, R"(.png", "text": ["image )", i, R"(", "number )", i,
                            R"("], "hint": ")", i, ".png\"}\n");
    }
  }

  // The model is the same for all tests and is only read.
  static std::string Model(TinyNetwork network) {
    static const testing::TemporaryFolder* const models = new testing::TemporaryFolder();
    const std::string folder = models->path() + "/" + std::to_string(static_cast<int>(network));
    if (!fs::exists(folder)) {
      EXPECT_TRUE(WriteTinyModel(folder, 1, network).ok());
    }
    return folder;
  }

  void WriteImage(const std::string& name, int shade) const {
    Image image = *AllocateImage(kSize + 8, kSize, 3);
    for (size_t i = 0; i < image.pixels.size(); ++i) {
      image.pixels[i] = static_cast<uint8_t>((i / 50 + static_cast<size_t>(shade) * 40) % 256);
    }
    std::ofstream(folder_.path() + "/" + name) << *EncodePng(image);
  }

  absl::Status Train(bool stopped = false) {
    const std::atomic<bool> stop = stopped;
    const auto files = OpenTrainingModel(options_);
    if (!files.ok()) return files.status();
    return RunTraining(options_, *files, stop, said_, /*terminal=*/false);
  }

  // An image that the finished model makes.
  absl::StatusOr<Image> Generate(const std::string& lora = "") const {
    auto loaded =
        LoadKandinsky({.model_path = lora.empty() ? options_.output_folder + "/model" : options_.decoder_path,
                       .unet_lora_path = options_.target == TrainingTarget::kDecoder ? lora : "",
                       .prior_lora_path = options_.target == TrainingTarget::kPrior ? lora : "",
                       .threads = 1},
                      1);
    if (!loaded.ok()) return loaded.status();
    LoadedPipeline pipeline(*std::move(loaded));
    GenerationRequest request;
    request.prompt = "image 1";
    request.width = kSize;
    request.height = kSize;
    request.steps = 2;
    request.prior_steps = 2;
    auto sample = pipeline.Admit(request);
    if (!sample.ok()) return sample.status();
    Sample* const batch[] = {sample->get()};
    while (batch[0]->stage() != Stage::kDone) {
      if (absl::Status status = pipeline.Step(batch); !status.ok()) return status;
    }
    return *batch[0]->TakeResult()->image;
  }

  static int64_t NumbersIn(const Checkpoint& file) {
    int64_t count = 0;
    for (const std::string& name : file.names()) {
      int64_t size = 1;
      for (const int64_t edge : file.Find(name)->shape) size *= edge;
      count += size;
    }
    return count;
  }

  std::string Error() {
    const absl::Status status = Train();
    EXPECT_FALSE(status.ok());
    return std::string(status.message());
  }

  const testing::TemporaryFolder folder_;
  TrainingOptions options_;
  std::ostringstream said_;
};

TEST_F(RunTrainingTest, APriorIsTrainedAndTheModelIsServed) {
  options_.ema = EmaOptions{.decay = 0.9};
  ASSERT_EQ(Train(), absl::OkStatus());
  EXPECT_TRUE(Generate().ok());
  EXPECT_THAT(said_.str(), AllOf(HasSubstr("step 3/3"), HasSubstr("checkpoint-3"), HasSubstr("/model")));
  EXPECT_TRUE(fs::exists(options_.output_folder + "/loss.svg"));
  std::ifstream metrics(options_.output_folder + "/metrics.jsonl");
  int lines = 0;
  for (std::string line; std::getline(metrics, line); ++lines) {
    EXPECT_THAT(line, AllOf(HasSubstr("\"loss\":"), HasSubstr("\"samples_per_second\":")));
  }
  EXPECT_EQ(lines, 3);
}

TEST_F(RunTrainingTest, ADecoderIsTrainedFromScratchInHalfPrecision) {
  options_.target = TrainingTarget::kDecoder;
  options_.from_scratch = true;
  options_.precision = Precision::kBFloat16;
  options_.optimizer.kind = OptimizerKind::kAdafactor;
  options_.snr_gamma = 5;
  options_.stored_type = StoredType::kFloat16;
  ASSERT_EQ(Train(), absl::OkStatus());
  const std::string unet = options_.output_folder + "/model/decoder/unet/diffusion_pytorch_model.safetensors";
  EXPECT_EQ((*OpenCheckpoint(unet))->Find("conv_in.weight")->dtype, torch::kHalf);
  EXPECT_TRUE(Generate().ok());
}

TEST_F(RunTrainingTest, InpaintingAndDepthNetworksAreTrained) {
  options_.target = TrainingTarget::kDecoder;
  for (const TinyNetwork network : {TinyNetwork::kInpaint, TinyNetwork::kControlNetDepth}) {
    options_.decoder_path = Model(network);
    options_.output_folder = folder_.path() + "/out" + std::to_string(static_cast<int>(network));
    ASSERT_EQ(Train(), absl::OkStatus());
    const std::string weights = "/decoder/unet/diffusion_pytorch_model.safetensors";
    const auto before = *OpenCheckpoint(options_.decoder_path + weights);
    const auto after = *OpenCheckpoint(options_.output_folder + "/model" + weights);
    EXPECT_FALSE(
        at::equal((*before->Get("conv_in.weight")).to(torch::kFloat), *after->Get("conv_in.weight")));
  }
}

TEST_F(RunTrainingTest, EmbeddingsOfOtherImagesWithTheCaptionChangeWhatIsLearned) {
  options_.target = TrainingTarget::kDecoder;
  std::vector<torch::Tensor> learned;
  for (const double exchange : {0.0, 1.0, 1.0}) {
    options_.embedding_exchange = exchange;
    options_.output_folder = folder_.path() + "/out" + std::to_string(learned.size());
    ASSERT_EQ(Train(), absl::OkStatus());
    const auto weights =
        *OpenCheckpoint(options_.output_folder + "/model/decoder/unet/diffusion_pytorch_model.safetensors");
    learned.push_back((*weights->Get("encoder_hid_proj.image_embeds.weight")).clone());
  }
  EXPECT_FALSE(at::equal(learned[0], learned[1]));
  EXPECT_TRUE(at::equal(learned[1], learned[2])) << "the seed decides";
}

TEST_F(RunTrainingTest, AdaptersMakeTheSameImageMergedAndExported) {
  for (const TrainingTarget target : {TrainingTarget::kPrior, TrainingTarget::kDecoder}) {
    options_.target = target;
    options_.lora = LoraOptions{.rank = 2, .targets = {"to_q", "to_v", "to_out.0"}};
    options_.optimizer.learning_rate = 0.05;
    options_.output_folder = folder_.path() + "/out" + std::to_string(static_cast<int>(target));
    ASSERT_EQ(Train(), absl::OkStatus());
    const auto exported = Generate();
    const auto merged = Generate(options_.output_folder + "/pytorch_lora_weights.safetensors");
    ASSERT_TRUE(exported.ok() && merged.ok()) << exported.status() << merged.status();
    EXPECT_EQ(exported->pixels, merged->pixels);
  }
}

TEST_F(RunTrainingTest, TheModelThatItBeganWithStaysAsItIs) {
  const std::string weights = "/prior/prior/diffusion_pytorch_model.safetensors";
  const auto read = [&](const std::string& root) {
    std::ifstream file(root + weights, std::ios::binary);
    return std::string(std::istreambuf_iterator<char>(file), {});
  };
  const std::string before = read(options_.decoder_path);
  ASSERT_EQ(Train(), absl::OkStatus());
  EXPECT_EQ(read(options_.decoder_path), before);
  EXPECT_NE(read(options_.output_folder + "/model"), before);

  const std::string result = read(options_.output_folder + "/model");
  options_.decoder_path = options_.output_folder + "/model";
  EXPECT_THAT(Error(), HasSubstr("choose another output_folder"));
  EXPECT_EQ(read(options_.output_folder + "/model"), result);
  options_.output_folder = folder_.path() + "/next";
  ASSERT_EQ(Train(), absl::OkStatus());
  EXPECT_EQ(read(options_.decoder_path), result);
}

TEST_F(RunTrainingTest, ANewRunDoesNotMixWithAnotherOnesCheckpoints) {
  ASSERT_EQ(Train(), absl::OkStatus());
  EXPECT_THAT(Error(), HasSubstr("checkpoint-3: is of an earlier run"));
  options_.checkpoints.resume = "latest";
  options_.max_steps = 4;
  EXPECT_EQ(Train(), absl::OkStatus()) << "a longer run is the same run";
  options_.checkpoints.resume = options_.output_folder + "/checkpoint-3";
  EXPECT_THAT(Error(), HasSubstr("checkpoint-4: is of later steps"));
  options_.checkpoints.resume = "latest";
  options_.caption_dropout = 0.5;
  EXPECT_THAT(Error(), HasSubstr("this is another run"));
}

TEST_F(RunTrainingTest, AStoppedRunSaysHowItGoesOn) {
  const absl::Status status = Train(/*stopped=*/true);
  EXPECT_EQ(status.code(), absl::StatusCode::kCancelled);
  EXPECT_FALSE(fs::exists(options_.output_folder + "/model"));
  EXPECT_EQ(Train(), absl::OkStatus());
}

TEST_F(RunTrainingTest, WhatCannotBeDoneIsSaidBeforeAnythingIsComputed) {
  options_.target = TrainingTarget::kDecoder;
  options_.data.resolution = 72;
  EXPECT_THAT(Error(), HasSubstr("data.resolution is 72, must be a multiple of"));
  options_.data.resolution = kSize;
  options_.decoder_path = Model(TinyNetwork::kInpaint);
  options_.validation.prompts = {"x"};
  EXPECT_THAT(Error(), HasSubstr("validation.prompts: the inpaint network"));
  EXPECT_FALSE(fs::exists(options_.output_folder + "/features"));
}

TEST_F(RunTrainingTest, SaysWhatItLearnsFromAndWhat) {
  options_.lora = LoraOptions{.rank = 2, .targets = {"to_q"}};
  options_.accumulation_steps = 2;
  ASSERT_EQ(Train(), absl::OkStatus());
  const auto prior =
      *OpenCheckpoint(options_.decoder_path + "/prior/prior/diffusion_pytorch_model.safetensors");
  const auto adapters = *OpenCheckpoint(options_.output_folder + "/pytorch_lora_weights.safetensors");
  EXPECT_THAT(said_.str(),
              AllOf(HasSubstr("data: 6 images with 12 captions in " + options_.data.path + "\n"),
                    HasSubstr("steps: 3 steps of 4 images, 2.00 epochs\n"),
                    HasSubstr(absl::StrCat("prior: ", NumbersIn(*adapters),
                                           " parameters are trained in adapters beside ", NumbersIn(*prior),
                                           ", in float32 on the CPU with 1 thread\n")),
                    Not(HasSubstr("note:"))));
}

TEST_F(RunTrainingTest, SaysWhatTheDataDoNotGive) {
  fs::create_directory(folder_.path() + "/images");
  fs::copy(folder_.path() + "/0.png", folder_.path() + "/images/0.png");
  std::ofstream(folder_.path() + "/images/0.txt") << "an image";
  std::ofstream(folder_.path() + "/images/1.gif") << "GIF89a";
  options_.data.path = folder_.path() + "/images";
  ASSERT_EQ(Train(), absl::OkStatus());
  EXPECT_THAT(said_.str(),
              AllOf(HasSubstr("data: 1 image with 1 caption in "), HasSubstr("1 .gif (" + options_.data.path),
                    HasSubstr("note: batch_size is 2, more than the 1 image of the data")));
}

TEST_F(RunTrainingTest, AnEstimateCountsTheGivenNetwork) {
  for (const auto& [network, target] : {std::pair(TinyNetwork::kDecoder, TrainingTarget::kPrior),
                                        std::pair(TinyNetwork::kDecoder, TrainingTarget::kDecoder),
                                        std::pair(TinyNetwork::kInpaint, TrainingTarget::kDecoder),
                                        std::pair(TinyNetwork::kControlNetDepth, TrainingTarget::kDecoder)}) {
    options_.decoder_path = Model(network);
    options_.target = target;
    const bool prior = target == TrainingTarget::kPrior;
    const auto weights = *OpenCheckpoint(options_.decoder_path + (prior ? "/prior/prior" : "/decoder/unet") +
                                         "/diffusion_pytorch_model.safetensors");
    const auto estimate = EstimateTraining(options_, int64_t{1} << 40);
    ASSERT_TRUE(estimate.ok()) << estimate.status();
    EXPECT_EQ(estimate->parameters, NumbersIn(*weights));
    EXPECT_EQ(estimate->trained_parameters, estimate->parameters);
    EXPECT_EQ(estimate->weight_bytes, 4 * estimate->parameters);
    EXPECT_GT(estimate->activation_bytes, 0);
    EXPECT_GT(estimate->seconds_per_batch, 0);
  }
  std::ostringstream text;
  ASSERT_EQ(PrintEstimate(options_, text), absl::OkStatus());
  EXPECT_THAT(text.str(), AllOf(HasSubstr("decoder U-Net of " + options_.decoder_path),
                                HasSubstr(" for 3 steps, on the CPU")));
  // The folder of the network that is trained: the prior has one of its own, unless it lies beside the
  // decoder.
  const std::string folder = options_.decoder_path;
  for (const auto& [target, prior_path, named] :
       {std::tuple(TrainingTarget::kPrior, folder + "/prior", "prior of " + folder + "/prior:"),
        std::tuple(TrainingTarget::kPrior, std::string(), "prior of " + folder + ":"),
        std::tuple(TrainingTarget::kDecoder, folder + "/prior",
                   "decoder U-Net of " + folder + "/decoder:")}) {
    options_.target = target;
    options_.prior_path = prior_path;
    options_.decoder_path = prior_path.empty() ? folder : folder + "/decoder";
    text.str("");
    ASSERT_EQ(PrintEstimate(options_, text), absl::OkStatus());
    EXPECT_THAT(text.str(), StartsWith(named));
  }
  options_.data.resolution = 72;
  EXPECT_THAT(EstimateTraining(options_, 0).status().message(), HasSubstr("data.resolution is 72"));
  options_.decoder_path = folder_.path() + "/nothing";
  EXPECT_THAT(EstimateTraining(options_, 0).status().message(), HasSubstr(options_.decoder_path));
}

// As with a full disk, when all that is left to write is the model.
TEST_F(RunTrainingTest, AModelThatCannotBeWrittenIsSaidWithFileReasonAndWhereTheWeightsAre) {
  ASSERT_EQ(Train(), absl::OkStatus());
  fs::remove_all(options_.output_folder + "/model");
  options_.checkpoints.resume = "latest";
  {
    const testing::FileSizeLimit limit(16 << 10);
    EXPECT_THAT(
        Error(),
        AllOf(HasSubstr("/model.partial/prior/prior/diffusion_pytorch_model.safetensors: File too large"),
              HasSubstr("the weights are in " + options_.output_folder + "/checkpoint-3")));
  }
  {
    const testing::FileSizeLimit limit(2 << 10);
    EXPECT_THAT(Error(), AllOf(HasSubstr("/model.partial/prior/tokenizer/"), HasSubstr(": File too large;")))
        << "copied";
  }
  EXPECT_FALSE(fs::exists(options_.output_folder + "/model"));
  EXPECT_EQ(Train(), absl::OkStatus());
  EXPECT_TRUE(Generate().ok());
}

TEST_F(RunTrainingTest, MetricsThatCannotBeWrittenAreSaidWithTheReason) {
  ASSERT_EQ(Train(), absl::OkStatus());
  const std::string metrics = options_.output_folder + "/metrics.jsonl";
  const auto size = fs::file_size(metrics);
  options_.checkpoints.resume = "latest";
  options_.max_steps = 4;
  {
    const testing::FileSizeLimit limit(size);
    EXPECT_THAT(Error(), HasSubstr("cannot write " + metrics + ": File too large"));
  }
  EXPECT_EQ(Train(), absl::OkStatus()) << "what was written before is whole";
}

TEST_F(RunTrainingTest, ValidationImagesAreMadeOnTheWay) {
  options_.validation = {.prompts = {"image 1", "картинка"},
                         .every_steps = 2,
                         .steps = 2,
                         .prior_steps = 2,
                         .size = kSize,
                         .guidance_scale = 1};
  ASSERT_EQ(Train(), absl::OkStatus());
  for (const char* image : {"step-2/0.png", "step-2/1.png", "step-3/1.png"}) {
    EXPECT_TRUE(fs::exists(options_.output_folder + "/validation/" + image)) << image;
  }
  EXPECT_FALSE(fs::exists(options_.output_folder + "/validation_model"));
}

TEST_F(RunTrainingTest, ABrokenImageIsNamedWithItsLine) {
  std::ofstream(folder_.path() + "/4.png") << "not an image";
  EXPECT_THAT(Error(), AllOf(HasSubstr("/4.png"), HasSubstr("data.jsonl:5")));
}

TEST_F(RunTrainingTest, AnEmptyCaptionIsNamedWithItsLine) {
  std::ofstream(options_.data.path) << R"({"image": "0.png", "text": "x"})"
                                    << "\n"
                                    << R"({"image": "1.png", "text": " "})"
                                    << "\n";
  EXPECT_THAT(Error(), HasSubstr("data.jsonl:2"));
}

TEST_F(RunTrainingTest, HintsHaveEightTimesTheEdgesOfTheLatents) {
  options_.target = TrainingTarget::kDecoder;
  options_.decoder_path = folder_.path() + "/small_cells";
  fs::copy(Model(TinyNetwork::kControlNetDepth), options_.decoder_path, fs::copy_options::recursive);
  testing::MakeLatentCellsSmaller(options_.decoder_path);
  ASSERT_EQ(Train(), absl::OkStatus());
}

TEST_F(RunTrainingTest, HintsOfAnotherSizeAreOtherFeatures) {
  options_.decoder_path = Model(TinyNetwork::kControlNetDepth);
  const auto files = OpenTrainingModel(options_);
  ASSERT_TRUE(files.ok()) << files.status();
  const auto vision = LoadImageEncoder(files->prior);
  ASSERT_TRUE(vision.ok()) << vision.status();
  TrainingSample sample;
  sample.image_path = folder_.path() + "/0.png";
  sample.hint_path = sample.image_path;
  for (const int size : {kSize, 2 * kSize}) {
    const auto features = OpenImageFeatures(
        *files, *vision, {sample}, {.latents = true, .resolution = kSize, .hint_resolution = size},
        folder_.path() + "/features", [](int64_t, int64_t) { return absl::OkStatus(); });
    ASSERT_TRUE(features.ok()) << features.status();
    EXPECT_EQ(features->Rows("hint", {0}).sizes(), (std::vector<int64_t>{1, 3, size, size}));
    EXPECT_EQ(features->Rows("latents", {0}).sizes(), (std::vector<int64_t>{1, 4, kSize / 8, kSize / 8}));
  }
}

TEST_F(RunTrainingTest, AMissingHintIsNamedWithItsLine) {
  options_.target = TrainingTarget::kDecoder;
  options_.decoder_path = Model(TinyNetwork::kControlNetDepth);
  std::ofstream(options_.data.path) << R"({"image": "0.png"})"
                                    << "\n";
  EXPECT_THAT(Error(), AllOf(HasSubstr("data.jsonl:1"), HasSubstr("hint")));
}

TEST_F(RunTrainingTest, AnOutputFolderThatCannotBeWrittenIsNamed) {
  std::ofstream(folder_.path() + "/file") << "x";
  options_.output_folder = folder_.path() + "/file/out";
  EXPECT_THAT(Error(), HasSubstr("/file/out"));
}

TEST(DrawKeepMasksTest, PaintsARectangleOrEverything) {
  at::Generator random = at::detail::createCPUGenerator(1);
  const torch::Tensor keep = DrawKeepMasks(200, 8, 12, random);
  EXPECT_EQ(keep.sizes(), (std::vector<int64_t>{200, 1, 8, 12}));
  int all = 0;
  for (int64_t row = 0; row < 200; ++row) {
    const torch::Tensor painted = keep[row][0] == 0;
    const torch::Tensor rows = painted.any(1);
    const torch::Tensor columns = painted.any(0);
    const int64_t area = painted.sum().item<int64_t>();
    EXPECT_EQ(area, rows.sum().item<int64_t>() * columns.sum().item<int64_t>()) << "a rectangle";
    EXPECT_GE(area, 2 * 3);
    all += area == 8 * 12 ? 1 : 0;
  }
  EXPECT_GT(all, 10);
  EXPECT_LT(all, 50);
}

}  // namespace
}  // namespace kandinsky::training
