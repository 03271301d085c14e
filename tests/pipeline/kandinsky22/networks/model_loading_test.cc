// A broken model directory is refused with one clear error that names the file, and the tensor or key.
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/stat.h>
#include <torch/types.h>

#include <filesystem>
#include <fstream>
#include <nlohmann/json.hpp>
#include <string>
#include <utility>
#include <vector>

#include "pipeline/kandinsky22/networks/load_kandinsky22.h"
#include "pipeline/weights/safetensors.h"
#include "tests/pipeline/kandinsky22/networks/pipeline_test_support.h"

namespace kandinsky {
namespace {

namespace fs = std::filesystem;
using ::testing::AllOf;
using ::testing::HasSubstr;

class ModelLoadingTest : public ::testing::Test {
 protected:
  void SetUp() override {
    folder_ =
        fs::path(::testing::TempDir()) /
        ("model_loading_" + std::string(::testing::UnitTest::GetInstance()->current_test_info()->name()));
    fs::remove_all(folder_);
    fs::create_directories(folder_);
    fs::copy(GoldenDirectory() + "/models/b", folder_, fs::copy_options::recursive);
  }
  void TearDown() override { fs::remove_all(folder_); }

  absl::Status LoadStatus() const {
    return LoadKandinsky({.model_name = "broken", .model_path = folder_.string(), .threads = 1}, 1).status();
  }

  std::string LoadMessage() const {
    const absl::Status status = LoadStatus();
    EXPECT_FALSE(status.ok());
    return std::string(status.message());
  }

  void Write(const std::string& file, const std::string& content) const {
    std::ofstream(folder_ / file, std::ios::binary) << content;
  }

  // Rewrites a weights file without `dropped`, with `reshaped` flattened.
  void RewriteWeights(const std::string& file, const std::string& dropped,
                      const std::string& reshaped) const {
    const std::string path = (folder_ / file).string();
    std::vector<std::pair<std::string, torch::Tensor>> tensors;
    {
      const auto checkpoint = OpenCheckpoint(path);
      ASSERT_TRUE(checkpoint.ok()) << checkpoint.status();
      for (const std::string& name : (*checkpoint)->names()) {
        if (name == dropped) continue;
        torch::Tensor tensor = (*checkpoint)->Get(name)->clone();
        tensors.emplace_back(name, name == reshaped ? tensor.flatten() : tensor);
      }
    }
    ASSERT_TRUE(WriteSafetensors(path, tensors).ok());
  }

  fs::path folder_;
};

constexpr char kUNetWeights[] = "decoder/unet/diffusion_pytorch_model.safetensors";

TEST_F(ModelLoadingTest, AWholeDirectoryLoads) { EXPECT_TRUE(LoadStatus().ok()) << LoadStatus(); }

TEST_F(ModelLoadingTest, ADeviceOrTypeThatTheBuildHasNoKernelsForIsRefusedBeforeAnythingIsRead) {
  PipelineOptions options = {
      .model_name = "x", .model_path = folder_.string(), .device = "cuda:0", .threads = 1};
  EXPECT_THAT(LoadKandinsky(options, 1).status().message(), HasSubstr("device must be cpu"));
  options.device = "cpu";
  options.dtype = "bfloat16";
  EXPECT_THAT(LoadKandinsky(options, 1).status().message(), HasSubstr("dtype must be float32"));
}

TEST_F(ModelLoadingTest, APipelineIsMadeWhereTheModelLiesAndNowhereElse) {
  const auto loaded = LoadKandinsky({.model_name = "x", .model_path = folder_.string(), .threads = 1}, 1);
  ASSERT_TRUE(loaded.ok()) << loaded.status();
  EXPECT_EQ(loaded->model->capabilities().device, "cpu");
  EXPECT_EQ(loaded->model->capabilities().dtype, "float32");
  EXPECT_TRUE(loaded->model->MakePipeline("cpu").ok());
  EXPECT_THAT(loaded->model->MakePipeline("cuda:0").status().message(), HasSubstr("where the model lies"));
}

TEST_F(ModelLoadingTest, ReplicasShareOneModel) {
  const auto loaded = LoadKandinsky({.model_name = "m", .model_path = folder_.string(), .threads = 1}, 2);
  ASSERT_TRUE(loaded.ok());
  ASSERT_EQ(loaded->devices.size(), 2u);
  // Deleting the files proves that no pipeline reads any.
  fs::remove_all(folder_);
  LoadedPipeline first(*loaded);
  LoadedPipeline second(*loaded);
  EXPECT_EQ(RelativeDifference(RunAlone(first, TinyRequest(5)), RunAlone(second, TinyRequest(5))), 0.0);
}

TEST_F(ModelLoadingTest, NamesAMissingFile) {
  fs::remove(folder_ / kUNetWeights);
  EXPECT_THAT(LoadMessage(), HasSubstr("unet"));
  EXPECT_EQ(LoadStatus().code(), absl::StatusCode::kNotFound);
}

TEST_F(ModelLoadingTest, NamesAMissingFolder) {
  fs::remove_all(folder_ / "prior/text_encoder");
  EXPECT_THAT(LoadMessage(), HasSubstr("text_encoder"));
}

TEST_F(ModelLoadingTest, NamesAMissingTensor) {
  RewriteWeights(kUNetWeights, "conv_in.weight", "");
  EXPECT_THAT(LoadMessage(),
              AllOf(HasSubstr("conv_in.weight"), HasSubstr("diffusion_pytorch_model.safetensors")));
}

TEST_F(ModelLoadingTest, NamesAMisshapenTensorWithBothShapes) {
  RewriteWeights(kUNetWeights, "", "time_embedding.linear_1.weight");
  EXPECT_THAT(LoadMessage(), HasSubstr("time_embedding.linear_1.weight"));
}

TEST_F(ModelLoadingTest, RefusesAHeaderLongerThanTheFile) {
  Write(kUNetWeights, std::string("\xff\xff\xff\x00\x00\x00\x00\x00{}", 10));
  EXPECT_THAT(LoadMessage(), HasSubstr("diffusion_pytorch_model.safetensors"));
}

TEST_F(ModelLoadingTest, RefusesATruncatedWeightsFile) {
  const fs::path file = folder_ / kUNetWeights;
  fs::resize_file(file, fs::file_size(file) - 16);
  EXPECT_THAT(LoadMessage(), HasSubstr("diffusion_pytorch_model.safetensors"));
}

TEST_F(ModelLoadingTest, RefusesAConfigThatIsNotJson) {
  Write("decoder/movq/config.json", "{not json");
  EXPECT_THAT(LoadMessage(), HasSubstr("movq/config.json"));
}

TEST_F(ModelLoadingTest, TakesTheDefaultsOfItsFilesWhichLieInTheModelsFolderOrTheDecoders) {
  const auto defaults = [this] {
    const auto loaded = LoadKandinsky({.model_name = "b", .model_path = folder_.string(), .threads = 1}, 1);
    EXPECT_TRUE(loaded.ok()) << loaded.status();
    return loaded->model->capabilities().defaults;
  };
  const nlohmann::json unet = nlohmann::json::parse(std::ifstream(folder_ / "decoder/unet/config.json"));
  const int trained = unet.at("sample_size").get<int>() * 4;  // the latent cells of this model have 4 pixels
  EXPECT_EQ(defaults().width, trained);
  EXPECT_EQ(defaults().steps, 50);
  Write("decoder/generation_defaults.json", R"({"steps": 7, "prior_guidance_scale": 1.5})");
  EXPECT_EQ(defaults().width, trained);
  EXPECT_EQ(defaults().steps, 7);
  EXPECT_EQ(defaults().prior_guidance_scale, 1.5f);
  Write("generation_defaults.json", R"({"steps": 8})");
  EXPECT_EQ(defaults().steps, 8);
}

TEST_F(ModelLoadingTest, RefusesDefaultsThatItCannotServe) {
  Write("decoder/generation_defaults.json", R"({"width": 1, "steps": 0})");
  EXPECT_THAT(LoadMessage(), AllOf(HasSubstr("decoder/generation_defaults.json: width is 1, must be"),
                                   HasSubstr("decoder/generation_defaults.json: steps is 0, must be")));
}

TEST_F(ModelLoadingTest, NamesAnUnsupportedSchedulerKey) {
  Write("decoder/scheduler/scheduler_config.json",
        R"({"num_train_timesteps": 1000, "beta_schedule": "sigmoid", "prediction_type": "epsilon"})");
  EXPECT_THAT(LoadMessage(), HasSubstr("sigmoid"));
}

// The published scheduler file with one value that no sampler here has.
TEST_F(ModelLoadingTest, MessagesAboutASchedulerNameFileKeyAndValue) {
  using Json = nlohmann::json;
  const auto expect_named = [this](const char* folder, Json config, const char* key, const Json& value,
                                   const std::string& text) {
    config[key] = value;
    const std::string file = std::string(folder) + "/scheduler_config.json";
    std::ifstream before(folder_ / file);
    const std::string old(std::istreambuf_iterator<char>(before), {});
    Write(file, config.dump());
    EXPECT_THAT(LoadMessage(),
                AllOf(HasSubstr(folder_.string() + "/" + file + ": "), HasSubstr(key), HasSubstr(text)))
        << key;
    Write(file, old);
  };
  const Json ddpm = {{"_class_name", "DDPMScheduler"}, {"beta_start", 0.00085}, {"beta_end", 0.012}};
  for (const auto& [key, value] : {std::pair{"beta_schedule", Json("sigmoid")},
                                   {"prediction_type", Json("v_prediction")},
                                   {"variance_type", Json("fixed_large")},
                                   {"timestep_spacing", Json("even")},
                                   {"thresholding", Json(true)},
                                   {"_class_name", Json("UniPCMultistepScheduler")},
                                   {"trained_betas", Json::array({0.5})},
                                   {"rescale_betas_zero_snr", Json(true)},
                                   {"beta_start", Json(0.5)},
                                   {"num_train_timesteps", Json(0)},
                                   {"steps_offset", Json(-1)},
                                   {"clip_sample", Json("yes")}}) {
    expect_named("decoder/scheduler", ddpm, key, value,
                 value.is_string() ? value.get<std::string>() : value.dump());
  }
  Json solver = ddpm;
  solver["_class_name"] = "DPMSolverMultistepScheduler";
  for (const auto& [key, value] : {std::pair{"solver_order", Json(3)},
                                   {"use_karras_sigmas", Json(true)},
                                   {"algorithm_type", Json("sde")},
                                   {"solver_type", Json("heun")},
                                   {"final_sigmas_type", Json("sigma_min")},
                                   {"use_flow_sigmas", Json(true)},
                                   {"lambda_min_clipped", Json(-5)}}) {
    expect_named("decoder/scheduler", solver, key, value,
                 value.is_string() ? value.get<std::string>() : value.dump());
  }
  Json euler = ddpm;
  euler["_class_name"] = "EulerDiscreteScheduler";
  expect_named("decoder/scheduler", euler, "interpolation_type", "log_linear", "log_linear");
  const Json unclip = {{"_class_name", "UnCLIPScheduler"}, {"prediction_type", "sample"}};
  expect_named("prior/scheduler", unclip, "variance_type", "learned_range", "learned_range");
  expect_named("prior/scheduler", unclip, "num_train_timesteps", 1, "2..1");
}

TEST_F(ModelLoadingTest, APickledFileUnderTheWeightsNameIsNamed) {
  Write(kUNetWeights, "PK\x03\x04" + std::string(100, '\0'));
  EXPECT_THAT(LoadMessage(),
              HasSubstr(folder_.string() + "/" + kUNetWeights + ": is a pickled PyTorch file"));
}

TEST_F(ModelLoadingTest, AFifoInPlaceOfAFileIsRefusedAndDoesNotBlock) {
  const fs::path file = folder_ / "decoder/scheduler/scheduler_config.json";
  fs::remove(file);
  ASSERT_EQ(::mkfifo(file.c_str(), 0600), 0);
  EXPECT_THAT(LoadMessage(), HasSubstr("scheduler_config.json"));
}

TEST_F(ModelLoadingTest, RefusesAnEndTokenThatTheTokenizerDoesNotWrite) {
  const fs::path file = folder_ / "prior/text_encoder/config.json";
  std::ifstream input(file);
  nlohmann::json config = nlohmann::json::parse(input);
  config["eos_token_id"] = 5;
  Write("prior/text_encoder/config.json", config.dump());
  EXPECT_THAT(LoadMessage(), AllOf(HasSubstr("end tokens"), HasSubstr("prior/tokenizer does not fit"),
                                   HasSubstr("prior/text_encoder/config.json")));
}

TEST_F(ModelLoadingTest, RefusesAnEmptyFolderAndAMissingOne) {
  fs::remove_all(folder_);
  EXPECT_FALSE(LoadStatus().ok());
  fs::create_directories(folder_);
  EXPECT_FALSE(LoadStatus().ok());
}

}  // namespace
}  // namespace kandinsky
