// Every task, sampler and way to ask equals what diffusers recorded: tests/parity/README.md, tasks.json.
#include <gtest/gtest.h>
#include <torch/types.h>

#include <fstream>
#include <map>
#include <memory>
#include <nlohmann/json.hpp>
#include <string>
#include <utility>
#include <vector>

#include "pipeline/device/placement.h"
#include "pipeline/kandinsky22/networks/load_kandinsky22.h"
#include "pipeline/weights/safetensors.h"
#include "tests/pipeline/kandinsky22/networks/pipeline_test_support.h"

namespace kandinsky {
namespace {

using nlohmann::json;

// Relative L2 over all values; a row of results is compared as a whole.
constexpr double kLatentsTolerance = 1e-4;
constexpr double kEmbeddingTolerance = 1e-5;
constexpr double kSmallestPsnr = 50.0;  // dB

// Reads the inputs of the recorded requests.
class RequestReader {
 public:
  explicit RequestReader(const Checkpoint& tensors) : tensors_(tensors) {}

  GenerationRequest Read(const json& object, uint64_t seed) const {
    GenerationRequest request;
    request.prompt = object.at("prompt");
    request.negative_prompt = Text(object.at("negative_prompt"));
    request.negative_prior_prompt = Text(object.at("negative_prior_prompt"));
    if (const json& start = object.at("prior_start"); !start.is_null()) {
      request.prior_start = PriorStart{EmbeddingOrImage(start), start.at("strength")};
    }
    if (const json& parts = object.at("mix"); !parts.is_null()) request.mix = ReadMix(parts);
    request.image_embedding = Tensor(object.at("image_embedding"));
    request.negative_image_embedding = Tensor(object.at("negative_image_embedding"));
    request.width = object.at("width");
    request.height = object.at("height");
    request.steps = object.at("steps");
    request.prior_steps = object.at("prior_steps");
    request.guidance_scale = object.at("guidance_scale");
    request.prior_guidance_scale = object.at("prior_guidance_scale");
    request.eta = object.at("eta");
    request.sampler = Sampler(object.at("sampler"));
    request.seed = seed;
    request.task = ReadTask(object.at("task"));
    request.output = {.image = true, .latents = true, .pixels = true};
    return request;
  }

 private:
  static std::optional<std::string> Text(const json& value) {
    return value.is_null() ? std::nullopt : std::optional<std::string>(value);
  }

  static SamplerKind Sampler(const std::string& name) {
    static const std::map<std::string, SamplerKind> kKinds = {
        {"default", SamplerKind::kModelDefault},
        {"ddpm", SamplerKind::kDdpm},
        {"ddim", SamplerKind::kDdim},
        {"ddpm_learned_range", SamplerKind::kDdpmLearnedRange},
        {"euler", SamplerKind::kEuler},
        {"euler_ancestral", SamplerKind::kEulerAncestral},
        {"dpm_solver_multistep", SamplerKind::kDpmSolverMultistep}};
    return kKinds.at(name);
  }

  torch::Tensor Recorded(const std::string& input) const { return *tensors_.Get("inputs." + input); }

  InputImage ReadImage(const json& input) const {
    const torch::Tensor rows = Recorded(input).contiguous();
    auto image = std::make_shared<Image>();
    image->height = static_cast<int>(rows.size(0));
    image->width = static_cast<int>(rows.size(1));
    image->channels = rows.dim() == 3 ? static_cast<int>(rows.size(2)) : 1;
    const uint8_t* values = rows.data_ptr<uint8_t>();
    image->pixels.assign(values, values + rows.numel());
    return image;
  }

  SharedFloatTensor Tensor(const json& input) const {
    if (input.is_null()) return nullptr;
    const torch::Tensor tensor = Recorded(input).contiguous();
    const float* values = tensor.data_ptr<float>();
    return std::make_shared<FloatTensor>(
        FloatTensor{tensor.sizes().vec(), {values, values + tensor.numel()}});
  }

  ImageOrEmbedding EmbeddingOrImage(const json& object) const {
    if (object.contains("embedding")) return Tensor(object.at("embedding"));
    return ReadImage(object.at("image"));
  }

  InitImage Init(const json& task) const { return {ReadImage(task.at("image")), task.at("strength")}; }

  Mix ReadMix(const json& parts) const {
    Mix mix;
    for (const json& part : parts) {
      const float weight = part.at("weight");
      if (part.contains("text")) {
        mix.parts.push_back({part.at("text").get<std::string>(), weight});
      } else if (part.contains("image")) {
        mix.parts.push_back({ReadImage(part.at("image")), weight});
      } else {
        mix.parts.push_back({Tensor(part.at("embedding")), weight});
      }
    }
    return mix;
  }

  Task ReadTask(const json& task) const {
    const std::string kind = task.at("kind");
    if (kind == "image_to_image") return ImageToImage{Init(task)};
    if (kind == "inpaint") {
      return Inpaint{
          .image = ReadImage(task.at("image")), .mask = ReadImage(task.at("mask")), .soft = task.at("soft")};
    }
    if (kind == "control_net") {
      ControlNet control{.hint = Tensor(task.at("hint")), .init = std::nullopt};
      if (!task.at("image").is_null()) control.init = Init(task);
      return control;
    }
    if (kind == "embed_text") return EmbedText{};
    if (kind == "embed_image") return EmbedImage{ReadImage(task.at("image"))};
    if (kind == "embed_prompt") return EmbedPrompt{};
    if (kind == "decode_latents") return DecodeLatents{Tensor(task.at("latents"))};
    if (kind == "encode_latents") {
      if (task.contains("pixels")) return EncodeLatents{Tensor(task.at("pixels"))};
      return EncodeLatents{ReadImage(task.at("image"))};
    }
    EXPECT_EQ(kind, "text_to_image");
    return TextToImage{};
  }

  const Checkpoint& tensors_;
};

double RelativeL2(const std::optional<FloatTensor>& actual, const torch::Tensor& expected) {
  if (!actual || Placement().Floats(*actual).numel() != expected.numel()) return INFINITY;
  const torch::Tensor difference = Placement().Floats(*actual).flatten() - expected.flatten();
  return (difference.norm() / expected.norm()).item<double>();
}

// The result `kind` of one seed against its recorded row.
void ExpectSame(const std::string& kind, const GenerationResult& result, const torch::Tensor& row) {
  SCOPED_TRACE(kind);
  if (kind == "image") {
    ASSERT_TRUE(result.image.has_value());
    ASSERT_EQ(row.sizes(), (std::vector<int64_t>{result.image->height, result.image->width, 3}));
    EXPECT_GE(PeakSignalToNoise(*result.image, row), kSmallestPsnr);
  } else if (kind == "latents") {
    EXPECT_LE(RelativeL2(result.latents, row), kLatentsTolerance);
  } else if (kind == "pixels") {
    EXPECT_LE(RelativeL2(result.pixels, row), kLatentsTolerance);
  } else if (kind == "embedding") {
    EXPECT_LE(RelativeL2(result.embedding, row), kEmbeddingTolerance);
  } else if (kind == "negative_embedding") {
    EXPECT_LE(RelativeL2(result.negative_embedding, row), kEmbeddingTolerance);
  } else if (kind == "hidden_states") {
    EXPECT_LE(RelativeL2(result.hidden_states, row), kEmbeddingTolerance);
  } else if (kind == "token_ids") {
    EXPECT_TRUE(torch::equal(torch::tensor(result.token_ids), row));
  } else {
    // What the decoder was given is not a result of the pipeline.
    EXPECT_TRUE(kind == "image_embeds" || kind == "negative_image_embeds");
  }
}

// Replays the cases in `folder`; counts them by task, and as "mix and TASK" those of a mixture.
void CompareWith(const std::string& folder, std::map<std::string, int>& cases_of_kind) {
  std::ifstream file(folder + "/tasks.json");
  ASSERT_TRUE(file.good());
  const json recorded = json::parse(file);
  const auto tensors = OpenCheckpoint(folder + "/tasks.safetensors");
  ASSERT_TRUE(tensors.ok()) << tensors.status();
  const RequestReader reader(**tensors);
  std::map<std::string, std::unique_ptr<LoadedPipeline>> pipelines;
  for (const auto& [name, model] : recorded.at("models").items()) {
    pipelines[name] = LoadPipeline(folder + "/" + model.get<std::string>());
  }
  for (const json& test_case : recorded.at("cases")) {
    const std::string name = test_case.at("name");
    SCOPED_TRACE(name);
    const json& object = test_case.at("request");
    const std::vector<uint64_t> seeds = object.at("seeds");
    for (size_t i = 0; i < seeds.size(); ++i) {
      const GenerationRequest request = reader.Read(object, seeds[i]);
      ++cases_of_kind[(request.mix ? "mix and " : "") + std::string(TaskName(request.task))];
      const GenerationResult result = RunAlone(*pipelines.at(test_case.at("model")), request);
      for (const std::string kind : test_case.at("results")) {
        ExpectSame(kind, result, (*(*tensors)->Get(name + "." + kind))[static_cast<int64_t>(i)]);
      }
    }
  }
}

TEST(GoldenTasksTest, EveryTaskEqualsDiffusers) {
  std::map<std::string, int> cases_of_kind;
  CompareWith(GoldenDirectory(), cases_of_kind);
  constexpr size_t kTasksOfMixtures = 5;  // those that make images, and embed_prompt
  EXPECT_EQ(cases_of_kind.size(), std::variant_size_v<Task> + kTasksOfMixtures)
      << "some task has no recorded case";
  EXPECT_GE(cases_of_kind["inpaint"], 5);
}

// Always the recorded set: the original package cannot be installed beside the tests.
TEST(OriginalPackageTest, ItsCallsOfDiffusersAreRequests) {
  std::map<std::string, int> cases_of_kind;
  CompareWith(KANDINSKY_SOURCE_DIR "/tests/golden/orig-2.2", cases_of_kind);
  EXPECT_EQ(cases_of_kind["text_to_image"], 3);
  EXPECT_EQ(cases_of_kind["image_to_image"], 2);
  EXPECT_EQ(cases_of_kind["inpaint"], 2);
}

}  // namespace
}  // namespace kandinsky
