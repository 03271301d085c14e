#include <gtest/gtest.h>

#include <cstdlib>
#include <map>
#include <memory>
#include <nlohmann/json.hpp>
#include <stdexcept>
#include <string>
#include <utility>
#include <vector>

#include "base/json_file.h"
#include "pipeline/components/model_configs.h"
#include "pipeline/models/layers.h"
#include "pipeline/weights/safetensors.h"
#include "pipeline/weights/strict_load.h"
#include "tests/pipeline/models/model_test_support.h"
#include "tests/pipeline/models/parameter_shapes.h"

// Compares every network with what diffusers and transformers compute from the same files. The files come
// from tests/parity/make_goldens.py.

namespace kandinsky {
namespace {

using testing::ChannelsLast;
using testing::RelativeL2;

constexpr double kTolerance = 1e-5;
constexpr double kDecodeTolerance = 1e-4;

std::string GoldenPath(const std::string& file) {
  const char* folder = std::getenv("KANDINSKY_GOLDEN_DIR");
  return (folder ? std::string(folder) : std::string(KANDINSKY_SOURCE_DIR) + "/tests/golden/diffusers") +
         "/" + file;
}

template <typename T>
T ValueOrFail(absl::StatusOr<T> value) {
  if (!value.ok()) throw std::runtime_error(value.status().ToString());
  return *std::move(value);
}

template <typename Config>
using Parser = absl::StatusOr<Config> (*)(const std::string&, const nlohmann::json&);

template <typename Config>
Config ReadConfig(const std::string& file, Parser<Config> parse) {
  const std::string path = GoldenPath(file);
  return ValueOrFail(parse(path, ValueOrFail(ReadJsonFile(path))));
}

// The network of `folder`, strictly loaded in 32-bit floats. Not in inference mode: parameters are normal
// tensors.
template <typename Module, typename Config>
std::unique_ptr<Module> LoadNetwork(const std::string& folder, const std::string& weights,
                                    Parser<Config> parse, bool prepared = false) {
  auto module = std::make_unique<Module>(ReadConfig(folder + "/config.json", parse));
  const auto checkpoint = ValueOrFail(OpenCheckpoint(GoldenPath(folder + "/" + weights)));
  const absl::Status loaded = LoadStrict(*module, *checkpoint);
  if (!loaded.ok()) throw std::runtime_error(loaded.ToString());
  if (prepared) PrepareForInference(*module);
  return module;
}

torch::Tensor InFormat(const torch::Tensor& x, bool channels_last) {
  return channels_last ? ChannelsLast(x) : x;
}

// One request per row, each at its own step of the same list of time-steps, in one batch.
torch::Tensor ForwardAsRequests(const UNet2DConditionModel& model, const torch::Tensor& sample,
                                const torch::Tensor& timesteps, const torch::Tensor& image_embeds) {
  const size_t rows = static_cast<size_t>(sample.size(0));
  std::vector<UNetContext> contexts(rows);
  std::vector<UNetTime> times(rows);
  std::vector<UNetConditionRows> parts;
  for (size_t row = 0; row < rows; ++row) {
    const torch::Tensor own_embeds = image_embeds.narrow(0, static_cast<int64_t>(row), 1);
    contexts[row] = model.encode_context(own_embeds);
    times[row] = model.encode_time(timesteps, own_embeds);
    parts.push_back({&contexts[row], &times[row], static_cast<int64_t>(row)});
  }
  return model.forward(sample, AssembleConditions(parts));
}

class GoldenComponentsTest : public ::testing::Test {
 protected:
  torch::Tensor Golden(const std::string& name) const { return ValueOrFail(goldens_->Get(name)); }

  const std::shared_ptr<const Checkpoint> goldens_ =
      ValueOrFail(OpenCheckpoint(GoldenPath("components.safetensors")));
};

TEST_F(GoldenComponentsTest, ClipTextEqualsTransformers) {
  const auto model = LoadNetwork<ClipTextModelWithProjection>("models/prior/text_encoder",
                                                              "model.safetensors", &ParseClipTextConfig);
  const c10::InferenceMode inference;
  const ClipTextOutput output = model->forward(Golden("clip_text.input_ids"));
  EXPECT_LE(RelativeL2(output.last_hidden_state, Golden("clip_text.last_hidden_state")), kTolerance);
  EXPECT_LE(RelativeL2(output.text_embeds, Golden("clip_text.text_embeds")), kTolerance);
}

TEST_F(GoldenComponentsTest, ClipVisionEqualsTransformers) {
  const auto model = LoadNetwork<ClipVisionModelWithProjection>("models/prior/image_encoder",
                                                                "model.safetensors", &ParseClipVisionConfig);
  const c10::InferenceMode inference;
  EXPECT_LE(
      RelativeL2(model->forward(Golden("clip_vision.pixel_values")), Golden("clip_vision.image_embeds")),
      kTolerance);
}

TEST_F(GoldenComponentsTest, PriorEqualsDiffusersWithAndWithoutTheSplit) {
  const auto model = LoadNetwork<PriorTransformer>("models/prior/prior",
                                                   "diffusion_pytorch_model.safetensors", &ParsePriorConfig);
  const c10::InferenceMode inference;
  const torch::Tensor x = Golden("prior.hidden_states");
  const torch::Tensor timesteps = Golden("prior.timestep").expand({x.size(0)});
  const torch::Tensor text_embeds = Golden("prior.proj_embedding");
  const torch::Tensor text_hidden = Golden("prior.encoder_hidden_states");
  const torch::Tensor mask = Golden("prior.attention_mask").to(torch::kBool);
  const torch::Tensor expected = Golden("prior.predicted_image_embedding");
  EXPECT_LE(RelativeL2(model->forward(x, timesteps, text_embeds, text_hidden, mask), expected), kTolerance);
  const PriorPrefix prefix = model->encode_prefix(text_embeds, text_hidden, mask);
  EXPECT_LE(RelativeL2(model->forward_suffix(x, timesteps, prefix), expected), kTolerance);
}

TEST_F(GoldenComponentsTest, UNetEqualsDiffusersInEveryPathPreparedOrNot) {
  for (const bool prepared : {false, true}) {
    const auto model = LoadNetwork<UNet2DConditionModel>(
        "models/decoder/unet", "diffusion_pytorch_model.safetensors", &ParseUNetConfig, prepared);
    const c10::InferenceMode inference;
    const torch::Tensor sample = InFormat(Golden("unet.sample"), prepared);
    const torch::Tensor timesteps = Golden("unet.timestep").expand({sample.size(0)});
    const torch::Tensor image_embeds = Golden("unet.image_embeds");
    const torch::Tensor expected = Golden("unet.out");
    EXPECT_LE(RelativeL2(model->forward(sample, timesteps, image_embeds), expected), kTolerance);
    const torch::Tensor split = ForwardAsRequests(*model, sample, timesteps, image_embeds);
    EXPECT_LE(RelativeL2(split, expected), kTolerance);
  }
}

TEST_F(GoldenComponentsTest, TheInpaintingUNetEqualsDiffusers) {
  const auto model = LoadNetwork<UNet2DConditionModel>(
      "models/inpaint/decoder/unet", "diffusion_pytorch_model.safetensors", &ParseUNetConfig);
  const c10::InferenceMode inference;
  const torch::Tensor sample = Golden("unet_inpaint.sample");
  ASSERT_EQ(sample.size(1), 9);
  const torch::Tensor out =
      model->forward(sample, Golden("unet_inpaint.timestep"), Golden("unet_inpaint.image_embeds"));
  EXPECT_LE(RelativeL2(out, Golden("unet_inpaint.out")), kTolerance);
}

TEST_F(GoldenComponentsTest, TheDepthUNetAndItsHintBlockEqualDiffusers) {
  const auto model = LoadNetwork<UNet2DConditionModel>(
      "models/depth/decoder/unet", "diffusion_pytorch_model.safetensors", &ParseUNetConfig);
  const c10::InferenceMode inference;
  const torch::Tensor hint = model->encode_hint(Golden("hint.in"));
  EXPECT_LE(RelativeL2(hint, Golden("hint.out")), kTolerance);
  const torch::Tensor out = model->forward(at::cat({Golden("unet_depth.sample"), hint}, 1),
                                           Golden("unet_depth.timestep"), Golden("unet_depth.image_embeds"));
  EXPECT_LE(RelativeL2(out, Golden("unet_depth.out")), kTolerance);
}

TEST_F(GoldenComponentsTest, MovqEqualsDiffusersPreparedOrNot) {
  for (const bool prepared : {false, true}) {
    const auto model = LoadNetwork<VQModel>("models/decoder/movq", "diffusion_pytorch_model.safetensors",
                                            &ParseVQModelConfig, prepared);
    const c10::InferenceMode inference;
    const torch::Tensor pixels = InFormat(Golden("movq.pixels"), prepared);
    const torch::Tensor latents = InFormat(Golden("movq.decode_in"), prepared);
    EXPECT_LE(RelativeL2(model->encode(pixels), Golden("movq.latents")), kTolerance);
    EXPECT_LE(RelativeL2(model->decode(latents), Golden("movq.decoded")), kDecodeTolerance);
  }
}

using ShapeByName = std::map<std::string, std::vector<int64_t>>;

template <typename Module, typename Config>
void ExpectPublishedParameters(const std::string& component, Parser<Config> parse) {
  const nlohmann::json all =
      ValueOrFail(ReadJsonFile(GoldenPath("parameters.json"), {.max_bytes = 16u << 20}));
  const ShapeByName expected = all.at(component).get<ShapeByName>();
  ASSERT_GT(expected.size(), 300u);
  const Module module{ReadConfig("full_size_configs/" + component + ".json", parse)};
  const auto shapes = ParameterShapes(module);
  const ShapeByName actual(shapes.begin(), shapes.end());
  for (const auto& [name, shape] : expected) {
    const auto found = actual.find(name);
    EXPECT_TRUE(found != actual.end() && found->second == shape) << component << ": " << name;
  }
  EXPECT_EQ(actual.size(), expected.size()) << component;
}

TEST(GoldenParametersTest, EveryFullSizeParameterHasThePublishedNameAndShape) {
  ExpectPublishedParameters<UNet2DConditionModel>("unet_decoder", &ParseUNetConfig);
  ExpectPublishedParameters<UNet2DConditionModel>("unet_inpaint", &ParseUNetConfig);
  ExpectPublishedParameters<UNet2DConditionModel>("unet_controlnet_depth", &ParseUNetConfig);
  ExpectPublishedParameters<VQModel>("movq", &ParseVQModelConfig);
  ExpectPublishedParameters<PriorTransformer>("prior", &ParsePriorConfig);
  ExpectPublishedParameters<ClipTextModelWithProjection>("text_encoder", &ParseClipTextConfig);
  ExpectPublishedParameters<ClipVisionModelWithProjection>("image_encoder", &ParseClipVisionConfig);
}

}  // namespace
}  // namespace kandinsky
