#include "training/trainer.h"

#include <ATen/ATen.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <atomic>
#include <filesystem>
#include <fstream>
#include <functional>
#include <limits>
#include <memory>
#include <string>
#include <vector>

#include "pipeline/models/layers.h"
#include "pipeline/weights/safetensors.h"
#include "tests/training/temporary_folder.h"

namespace kandinsky::training {
namespace {

namespace fs = std::filesystem;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::UnorderedElementsAre;

// A network of one layer, published under a name of its own.
class SmallNetwork : public torch::nn::Module {
 public:
  SmallNetwork()
      : to_q(register_module("block", std::make_shared<torch::nn::Module>())
                 ->register_module("to_q", std::make_shared<Linear>(3, 3))) {
    const at::NoGradGuard no_grad;
    to_q->weight.copy_(at::eye(3));
    to_q->bias.zero_();
  }
  std::shared_ptr<Linear> to_q;
};

// Learns to add noise up. Remembers which samples it was asked for; its losses depend on them and on what was
// drawn.
class SmallTask final : public TrainingTask {
 public:
  torch::nn::Module& network() override { return network_; }
  const std::string& network_folder() const override { return folder_; }
  const NetworkFiles& files() const override { return files_; }
  int64_t sample_count() const override { return 5; }

  torch::Tensor Loss(absl::Span<const int64_t> samples, at::Generator& random) const override {
    asked.insert(asked.end(), samples.begin(), samples.end());
    const auto rows = static_cast<int64_t>(samples.size());
    const torch::Tensor x = repeats_noise ? at::ones({rows, 3}) : at::randn({rows, 3}, random);
    torch::Tensor target = at::flip(x, {1});
    for (size_t i = 0; i < samples.size(); ++i) {
      target[static_cast<int64_t>(i)] += static_cast<double>(samples[i]);
    }
    const torch::Tensor y = network_.to_q->forward(x);
    seen_dtype = y.scalar_type();
    return (y.to(torch::kFloat) - target).square().mean() * scale;
  }

  mutable std::vector<int64_t> asked;
  mutable torch::ScalarType seen_dtype = torch::kFloat;
  double scale = 1;
  bool repeats_noise = false;  // nothing is drawn: rows differ by their samples only

 private:
  SmallNetwork network_;
  const std::string folder_ = "prior";
  const NetworkFiles files_{.folder = "", .config = {"config.json", {{"layers", 1}}}, .weights = nullptr};
};

class Recorder final : public TrainingObserver {
 public:
  absl::Status OnStep(const StepReport& report) override {
    steps.push_back(report);
    if (on_step) on_step(report);
    return absl::OkStatus();
  }
  absl::Status OnValidation(int64_t step, torch::nn::Module& network) override {
    validations.push_back(step);
    weights.push_back(network.parameters()[0].detach().clone());
    if (on_validation) on_validation(step);
    return absl::OkStatus();
  }
  absl::Status OnCheckpoint(const std::string& folder) override {
    checkpoints.push_back(fs::path(folder).filename().string());
    return absl::OkStatus();
  }

  std::vector<double> Losses() const {
    std::vector<double> losses;
    for (const StepReport& step : steps) losses.push_back(step.loss);
    return losses;
  }

  std::vector<StepReport> steps;
  std::vector<int64_t> validations;
  std::vector<torch::Tensor> weights;
  std::vector<std::string> checkpoints;
  std::function<void(const StepReport&)> on_step;
  std::function<void(int64_t step)> on_validation;
};

class TrainerTest : public ::testing::Test {
 protected:
  TrainerTest() {
    options_.output_folder = folder_.path() + "/out";
    options_.batch_size = 2;
    options_.max_steps = 8;
    options_.seed = 11;
    options_.run_identity = {{"seed", "11"}, {"batch_size", "2"}, {"precision", "float32"}};
    options_.optimizer.learning_rate = 0.05;
    options_.checkpoints.every_steps = 100;
    options_.ema = EmaOptions{.decay = 0.9};
  }

  // Trains `task` to the end, or to the step in which `recorder` sets `stop_`.
  absl::Status Train(SmallTask& task, Recorder& recorder) {
    auto trainer = Trainer::Make(options_, task);
    return trainer.ok() ? (*trainer)->Run(recorder, stop_) : trainer.status();
  }

  std::vector<std::string> Output() const {
    std::vector<std::string> names;
    for (const auto& entry : fs::directory_iterator(options_.output_folder)) {
      names.push_back(entry.path().filename().string());
    }
    return names;
  }

  const testing::TemporaryFolder folder_;
  TrainingOptions options_;
  std::atomic<bool> stop_ = false;
};

TEST_F(TrainerTest, LearnsAndSeesEverySampleOnceInAnEpoch) {
  SmallTask task;
  Recorder recorder;
  options_.batch_size = 5;
  options_.max_steps = 60;
  ASSERT_TRUE(Train(task, recorder).ok());
  EXPECT_LT(recorder.steps.back().loss, recorder.steps.front().loss / 2);
  EXPECT_THAT(std::vector<int64_t>(task.asked.begin(), task.asked.begin() + 5),
              UnorderedElementsAre(0, 1, 2, 3, 4));
  EXPECT_EQ(recorder.steps.back().step, 60);
  EXPECT_EQ(recorder.steps.back().samples, 5);
}

TEST_F(TrainerTest, AResumedRunGivesTheLossesOfAnUninterruptedOne) {
  SmallTask whole;
  Recorder uninterrupted;
  ASSERT_TRUE(Train(whole, uninterrupted).ok());
  fs::remove_all(options_.output_folder);

  SmallTask begun;
  Recorder first;
  first.on_step = [&](const StepReport& report) { stop_ = report.step == 3; };
  ASSERT_TRUE(Train(begun, first).ok());
  EXPECT_THAT(first.checkpoints, ElementsAre("checkpoint-3"));
  stop_ = false;
  options_.checkpoints.resume = "latest";
  SmallTask continued;
  Recorder second;
  ASSERT_TRUE(Train(continued, second).ok());

  std::vector<double> losses = first.Losses();
  for (const double loss : second.Losses()) losses.push_back(loss);
  EXPECT_EQ(losses, uninterrupted.Losses());
  EXPECT_TRUE(at::equal(continued.network().parameters()[0], whole.network().parameters()[0]));
}

TEST_F(TrainerTest, ResumesAdaptersToo) {
  options_.lora = LoraOptions{.rank = 2, .targets = {"to_q"}};
  options_.ema = EmaOptions{.decay = 0.5};
  SmallTask whole;
  Recorder uninterrupted;
  ASSERT_TRUE(Train(whole, uninterrupted).ok());
  // Each way: the run goes on with the other form of names in its files.
  for (const AdapterForm form : {AdapterForm::kPeft, AdapterForm::kAttentionProcessors}) {
    fs::remove_all(options_.output_folder);
    options_.checkpoints.resume = "";
    options_.lora->form = form;
    SmallTask begun;
    Recorder first;
    first.on_step = [&](const StepReport& report) { stop_ = report.step == 5; };
    ASSERT_TRUE(Train(begun, first).ok());
    EXPECT_TRUE(fs::exists(options_.output_folder + "/checkpoint-5/prior/pytorch_lora_weights.safetensors"));
    stop_ = false;
    options_.checkpoints.resume = options_.output_folder + "/checkpoint-5";
    options_.lora->form = form == AdapterForm::kPeft ? AdapterForm::kAttentionProcessors : AdapterForm::kPeft;
    SmallTask continued;
    Recorder second;
    ASSERT_TRUE(Train(continued, second).ok());
    EXPECT_EQ(second.steps.back().loss, uninterrupted.steps.back().loss);
    EXPECT_TRUE(at::equal(continued.network().parameters()[0], at::eye(3))) << "the base stays";
  }
}

TEST_F(TrainerTest, AccumulatedBatchesAreOneLargerBatch) {
  options_.max_steps = 1;
  options_.optimizer.kind = OptimizerKind::kAdafactor;  // keeps the gradient's proportions
  SmallTask parts;
  parts.repeats_noise = true;
  Recorder recorder;
  options_.accumulation_steps = 3;
  ASSERT_TRUE(Train(parts, recorder).ok());
  EXPECT_EQ(recorder.steps[0].samples, 6);
  fs::remove_all(options_.output_folder);
  SmallTask whole;
  whole.repeats_noise = true;
  Recorder at_once;
  options_.accumulation_steps = 1;
  options_.batch_size = 6;
  ASSERT_TRUE(Train(whole, at_once).ok());
  EXPECT_EQ(parts.asked, whole.asked);
  EXPECT_NEAR(recorder.steps[0].loss, at_once.steps[0].loss, 1e-5);
  EXPECT_NEAR(recorder.steps[0].gradient_norm, at_once.steps[0].gradient_norm, 1e-5);
  EXPECT_TRUE(at::allclose(parts.network().parameters()[0], whole.network().parameters()[0]));
}

TEST_F(TrainerTest, KeepsTheNewestCheckpoints) {
  options_.checkpoints = {.every_steps = 2, .keep = 2, .resume = ""};
  SmallTask task;
  Recorder recorder;
  ASSERT_TRUE(Train(task, recorder).ok());
  EXPECT_THAT(recorder.checkpoints,
              ElementsAre("checkpoint-2", "checkpoint-4", "checkpoint-6", "checkpoint-8"));
  EXPECT_THAT(Output(), UnorderedElementsAre("checkpoint-6", "checkpoint-8"));
  for (const char* file :
       {"prior/config.json", "prior/diffusion_pytorch_model.safetensors",
        "prior_ema/diffusion_pytorch_model.safetensors", "optimizer.safetensors", "training_state.json"}) {
    EXPECT_TRUE(fs::exists(options_.output_folder + "/checkpoint-8/" + file)) << file;
  }
}

TEST_F(TrainerTest, ValidatesWithTheAverageAndGivesTheWeightsBack) {
  SmallTask without;
  Recorder plain;
  ASSERT_TRUE(Train(without, plain).ok());
  fs::remove_all(options_.output_folder);
  options_.validation = {.prompts = {"a red circle"}, .every_steps = 4};
  SmallTask task;
  Recorder recorder;
  ASSERT_TRUE(Train(task, recorder).ok());
  EXPECT_THAT(recorder.validations, ElementsAre(4, 8));
  EXPECT_EQ(recorder.Losses(), plain.Losses());
  const std::string average =
      options_.output_folder + "/checkpoint-8/prior_ema/diffusion_pytorch_model.safetensors";
  EXPECT_TRUE(at::equal(recorder.weights.back(), *(*OpenCheckpoint(average))->Get("block.to_q.weight")));
}

TEST_F(TrainerTest, BFloat16IsUsedForProductsOnly) {
  options_.precision = Precision::kBFloat16;
  SmallTask task;
  Recorder recorder;
  ASSERT_TRUE(Train(task, recorder).ok());
  EXPECT_EQ(task.seen_dtype, torch::kBFloat16);
  EXPECT_EQ(task.network().parameters()[0].scalar_type(), torch::kFloat);
  const at::NoGradGuard no_grad;
  EXPECT_EQ(at::mm(at::ones({1, 1}), at::ones({1, 1})).scalar_type(), torch::kFloat) << "switched off again";
}

TEST_F(TrainerTest, AStopWhileImagesAreMadeStillLeavesACheckpoint) {
  options_.validation = {.prompts = {"a red circle"}, .every_steps = 2};
  SmallTask task;
  Recorder recorder;
  recorder.on_validation = [&](int64_t) { stop_ = true; };
  ASSERT_TRUE(Train(task, recorder).ok());
  EXPECT_THAT(recorder.checkpoints, ElementsAre("checkpoint-2"));
}

TEST_F(TrainerTest, ALossThatIsNotFiniteEndsTheTrainingAndNamesTheStep) {
  SmallTask task;
  Recorder recorder;
  recorder.on_step = [&](const StepReport& report) {
    if (report.step == 2) task.scale = std::numeric_limits<double>::infinity();
  };
  const absl::Status status = Train(task, recorder);
  EXPECT_EQ(status.code(), absl::StatusCode::kInternal);
  EXPECT_THAT(std::string(status.message()), HasSubstr("step 3"));
}

// ---- what a checkpoint may not be

class BadCheckpointTest : public TrainerTest {
 protected:
  BadCheckpointTest() {
    SmallTask task;
    Recorder recorder;
    EXPECT_TRUE(Train(task, recorder).ok());
    options_.max_steps = 9;
    options_.checkpoints.resume = "latest";
  }

  std::string ErrorOfResuming() {
    SmallTask task;
    Recorder recorder;
    const absl::Status status = Train(task, recorder);
    EXPECT_FALSE(status.ok());
    EXPECT_TRUE(recorder.steps.empty());
    return std::string(status.message());
  }

  const std::string checkpoint_ = options_.output_folder + "/checkpoint-8";
};

TEST_F(BadCheckpointTest, OfAnotherRun) {
  options_.run_identity = {{"seed", "12"}, {"batch_size", "2"}, {"ema.decay", "0.9"}};
  EXPECT_THAT(
      ErrorOfResuming(),
      HasSubstr("training_state.json: this is another run: ema.decay was not set and is 0.9, precision was "
                "float32 and is not set, seed was 11 and is 12"));
}

TEST_F(BadCheckpointTest, OfAnotherShape) {
  const std::string file = checkpoint_ + "/prior/diffusion_pytorch_model.safetensors";
  ASSERT_TRUE(
      WriteSafetensors(file, {{"block.to_q.weight", at::ones({2, 3})}, {"block.to_q.bias", at::ones({3})}})
          .ok());
  const std::string error = ErrorOfResuming();
  EXPECT_THAT(error, HasSubstr(file));
  EXPECT_THAT(error, HasSubstr("\"block.to_q.weight\" has another shape"));
}

TEST_F(BadCheckpointTest, OfAnotherOptimizer) {
  options_.optimizer.kind = OptimizerKind::kAdafactor;
  EXPECT_THAT(ErrorOfResuming(), HasSubstr("optimizer.safetensors: lacks tensor \"exp_avg_sq_row."));
}

TEST_F(BadCheckpointTest, WithoutAverage) {
  fs::remove_all(checkpoint_ + "/prior_ema");
  EXPECT_THAT(ErrorOfResuming(), HasSubstr("prior_ema"));
}

TEST_F(BadCheckpointTest, ThatIsNotThere) {
  options_.output_folder = folder_.path() + "/empty";
  EXPECT_THAT(ErrorOfResuming(), HasSubstr("no checkpoint to resume from"));
  options_.checkpoints.resume = folder_.path() + "/nowhere";
  EXPECT_THAT(ErrorOfResuming(), HasSubstr("nowhere/training_state.json"));
}

TEST_F(BadCheckpointTest, AFailedWriteLeavesTheOldOneWhole) {
  const CheckpointLayout layout = {.network_folder = "prior", .config_text = "{}", .run_identity = {}};
  TrainingState state;
  state.weights = {{"w", at::ones({1})}};
  state.optimizer = {{"s", torch::Tensor()}};  // cannot be written, as with a full disk
  EXPECT_FALSE(WriteCheckpoint(checkpoint_, layout, state).ok());
  EXPECT_FALSE(fs::exists(checkpoint_ + ".partial"));
  SmallTask task;
  Recorder recorder;
  EXPECT_TRUE(Train(task, recorder).ok()) << "the old one can still be resumed";
}

TEST_F(BadCheckpointTest, AFullDiskIsAnErrorThatNamesTheFile) {
  // No file of this process may grow beyond a few bytes.
  const testing::FileSizeLimit limit(64);
  TrainingState state;
  state.weights = {{"w", at::ones({100})}};
  const absl::Status status = WriteCheckpoint(
      checkpoint_, {.network_folder = "prior", .config_text = "{}", .run_identity = {}}, state);
  EXPECT_FALSE(status.ok());
  EXPECT_THAT(std::string(status.message()), HasSubstr("diffusion_pytorch_model.safetensors"));
  EXPECT_TRUE(fs::exists(checkpoint_ + "/training_state.json"));
}

}  // namespace
}  // namespace kandinsky::training
