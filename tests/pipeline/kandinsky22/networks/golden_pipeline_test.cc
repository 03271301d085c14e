// Text to image equals what diffusers recorded: same seed, same latents, same image.
#include <gtest/gtest.h>
#include <torch/types.h>

#include <fstream>
#include <map>
#include <memory>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "pipeline/weights/safetensors.h"
#include "tests/pipeline/kandinsky22/networks/pipeline_test_support.h"

namespace kandinsky {
namespace {

using nlohmann::json;

GenerationRequest ReadRequest(const json& object, uint64_t seed) {
  GenerationRequest request;
  request.prompt = object.at("prompt");
  if (!object.at("negative_prompt").is_null()) request.negative_prompt = object.at("negative_prompt");
  request.width = object.at("width");
  request.height = object.at("height");
  request.steps = object.at("steps");
  request.guidance_scale = object.at("guidance_scale");
  request.prior_steps = object.at("prior_steps");
  request.prior_guidance_scale = object.at("prior_guidance_scale");
  if (object.at("sampler") == "ddim") request.sampler = SamplerKind::kDdim;
  request.seed = seed;
  request.output.latents = true;
  return request;
}

void ExpectSame(const GenerationResult& result, const torch::Tensor& latents, const torch::Tensor& image) {
  ASSERT_TRUE(result.latents && result.image);
  const torch::Tensor actual = torch::tensor(result.latents->values).reshape(result.latents->shape);
  ASSERT_EQ(actual.sizes(), latents.sizes());
  EXPECT_LE(((actual - latents).norm() / latents.norm()).item<double>(), 1e-4);
  ASSERT_EQ(image.sizes(), (std::vector<int64_t>{result.image->height, result.image->width, 3}));
  EXPECT_GE(PeakSignalToNoise(*result.image, image), 50.0);
}

TEST(GoldenPipelineTest, TextToImageEqualsDiffusers) {
  std::ifstream file(GoldenDirectory() + "/pipelines.json");
  ASSERT_TRUE(file.good());
  const json recorded = json::parse(file);
  const auto tensors = OpenCheckpoint(GoldenDirectory() + "/pipelines.safetensors");
  ASSERT_TRUE(tensors.ok()) << tensors.status();
  std::map<std::string, std::unique_ptr<LoadedPipeline>> pipelines;
  for (const auto& [name, folder] : recorded.at("models").items()) {
    pipelines[name] = LoadPipeline(GoldenDirectory() + "/" + folder.get<std::string>());
  }
  ASSERT_GE(recorded.at("cases").size(), 10u);
  for (const json& test_case : recorded.at("cases")) {
    const std::string name = test_case.at("name");
    SCOPED_TRACE(name);
    const torch::Tensor latents = *(*tensors)->Get(name + ".latents");
    const torch::Tensor images = *(*tensors)->Get(name + ".image");
    const std::vector<uint64_t> seeds = test_case.at("request").at("seeds");
    for (size_t i = 0; i < seeds.size(); ++i) {
      const GenerationRequest request = ReadRequest(test_case.at("request"), seeds[i]);
      ExpectSame(RunAlone(*pipelines.at(test_case.at("model")), request), latents[static_cast<int64_t>(i)],
                 images[static_cast<int64_t>(i)]);
    }
  }
}

}  // namespace
}  // namespace kandinsky
