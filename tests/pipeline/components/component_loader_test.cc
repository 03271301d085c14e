#include "pipeline/components/component_loader.h"

#include <ATen/ATen.h>
#include <ATen/Parallel.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <limits>
#include <string>
#include <utility>
#include <vector>

#include "pipeline/models/layers.h"
#include "pipeline/weights/strict_load.h"
#include "tests/pipeline/weights/weights_test_support.h"

namespace kandinsky {
namespace {

using ::testing::AllOf;
using ::testing::HasSubstr;
using ::testing::Not;
using NamedTensors = std::vector<std::pair<std::string, torch::Tensor>>;

struct NetworkConfig {
  int64_t channels = 16;
};

// One layer of each kind that loading treats in its own way.
struct Network : torch::nn::Module {
  explicit Network(const NetworkConfig& config)
      : conv(register_module("conv", MakeConv3x3(config.channels, 2 * config.channels))),
        down(register_module(
            "down", std::make_shared<Conv2d>(
                        Conv2dOptions{.in_channels = 2 * config.channels, .out_channels = 8, .stride = 2}))),
        proj(register_module("proj", std::make_shared<Linear>(8, config.channels))),
        ids(register_buffer("ids", torch::zeros({3}, torch::kLong))) {}

  torch::Tensor forward(const torch::Tensor& x) const {
    return proj->forward(down->forward(conv->forward(x)).permute({0, 2, 3, 1}));
  }

  std::shared_ptr<Conv2d> conv;
  std::shared_ptr<Conv2d> down;
  std::shared_ptr<Linear> proj;
  torch::Tensor ids;
};

class ComponentLoaderTest : public ::testing::Test {
 protected:
  ~ComponentLoaderTest() override { at::set_num_threads(threads_); }

  // Random tensors for a Network.
  static NamedTensors Weights(const NetworkConfig& config, torch::ScalarType dtype, uint64_t seed) {
    torch::manual_seed(seed);
    NamedTensors tensors;
    for (const auto& parameter : Network(config).named_parameters()) {
      tensors.emplace_back(parameter.key(), torch::randn(parameter.value().sizes()).to(dtype));
    }
    tensors.emplace_back("ids", torch::arange(3));
    return tensors;
  }

  NetworkFiles Save(const std::string& name, const NamedTensors& tensors) const {
    const std::string path = folder_.path() + "/" + name + ".safetensors";
    EXPECT_TRUE(WriteSafetensors(path, tensors).ok());
    NetworkFiles files;
    files.weights = *OpenCheckpoint(path);
    return files;
  }

  static NamedTensors Without(NamedTensors tensors, const std::string& name) {
    std::erase_if(tensors, [&](const auto& tensor) { return tensor.first == name; });
    return tensors;
  }

  static torch::Tensor Output(const Network& network) {
    const at::NoGradGuard no_grad;
    torch::manual_seed(9);
    return network.forward(
        torch::randn({2, network.proj->bias.size(0), 8, 8}).contiguous(at::MemoryFormat::ChannelsLast));
  }

  static void ExpectSameBits(const Network& a, const Network& b) {
    EXPECT_TRUE(Output(a).equal(Output(b)));
    const auto others = b.named_parameters();
    EXPECT_EQ(a.named_parameters().size(), others.size());
    for (const auto& parameter : a.named_parameters()) {
      EXPECT_TRUE(parameter.value().equal(others[parameter.key()])) << parameter.key();
      EXPECT_EQ(parameter.value().strides(), others[parameter.key()].strides()) << parameter.key();
    }
    EXPECT_TRUE(a.ids.equal(b.ids));
  }

  const TemporaryFolder folder_;
  const int threads_ = at::get_num_threads();
};

TEST_F(ComponentLoaderTest, LoadsTheBitsOfAStrictLoadAndAPreparation) {
  for (const torch::ScalarType dtype : {torch::kHalf, torch::kFloat, torch::kBFloat16, torch::kDouble}) {
    for (const bool prepare : {true, false}) {
      const NetworkFiles files = Save("w", Weights({}, dtype, 1));
      Network expected({});
      ASSERT_TRUE(LoadStrict(expected, *files.weights).ok());
      if (prepare) PrepareForInference(expected);
      ComponentLoader loader;
      const auto network = loader.Add<Network>(NetworkConfig{}, files, {.prepare = prepare});
      ASSERT_TRUE(loader.Load().ok());
      ExpectSameBits(*network, expected);
      EXPECT_EQ(network->conv->weight.defined(), !prepare);
    }
  }
}

TEST_F(ComponentLoaderTest, ManyThreadsLoadTheBitsOfOne) {
  std::vector<NetworkFiles> files;
  std::vector<NetworkConfig> configs;
  for (int i = 0; i < 8; ++i) {
    configs.push_back({.channels = 16 + 20 * i});
    files.push_back(
        Save(std::to_string(i), Weights(configs.back(), i % 3 == 0 ? torch::kFloat : torch::kHalf, 10)));
  }
  std::vector<std::vector<std::shared_ptr<Network>>> networks;
  for (const int threads : {1, 5}) {
    at::set_num_threads(threads);
    ComponentLoader loader;
    auto& loaded = networks.emplace_back();
    for (size_t i = 0; i < files.size(); ++i) loaded.push_back(loader.Add<Network>(configs[i], files[i]));
    ASSERT_TRUE(loader.Load().ok());
  }
  for (size_t i = 0; i < files.size(); ++i) ExpectSameBits(*networks[0][i], *networks[1][i]);
}

TEST_F(ComponentLoaderTest, OfSeveralBrokenComponentsTheFirstOneIsNamed) {
  const NamedTensors weights = Weights({}, torch::kHalf, 1);
  ComponentLoader loader;
  loader.Add<Network>(NetworkConfig{}, Save("good", weights));
  loader.Add<Network>(NetworkConfig{}, Save("z_first", Without(weights, "proj.bias")));
  loader.Add<Network>(NetworkConfig{}, Save("a_second", Without(weights, "conv.weight")));
  const absl::Status status = loader.Load();
  EXPECT_EQ(status.code(), absl::StatusCode::kInvalidArgument);
  EXPECT_THAT(std::string(status.message()),
              AllOf(HasSubstr("z_first.safetensors"), HasSubstr("proj.bias"), Not(HasSubstr("a_second"))));
}

TEST_F(ComponentLoaderTest, AMisshapenTensorIsNamedBeforeAnythingIsRead) {
  NamedTensors weights = Weights({}, torch::kHalf, 1);
  ComponentLoader loader;
  const auto good = loader.Add<Network>(NetworkConfig{}, Save("good", weights));
  for (auto& [name, tensor] : weights) {
    if (name == "proj.weight") tensor = tensor.flatten();
  }
  loader.Add<Network>(NetworkConfig{}, Save("bad", weights));
  EXPECT_THAT(std::string(loader.Load().message()), HasSubstr("proj.weight"));
  EXPECT_TRUE(good->conv->weight.defined());
}

TEST_F(ComponentLoaderTest, AdaptersThatAreNotThereOrDoNotFitAreErrorsOfTheirComponent) {
  const NetworkFiles files = Save("w", Weights({}, torch::kHalf, 1));
  const std::string path = Save("lora", {{"nowhere.lora_A.weight", torch::ones({1, 8})},
                                         {"nowhere.lora_B.weight", torch::ones({16, 1})}})
                               .weights->path();
  for (const auto& [file, text] : {std::pair{path, "nowhere"}, {folder_.path() + "/none", "none"}}) {
    ComponentLoader loader;
    loader.Add<Network>(NetworkConfig{}, files);
    loader.Add<Network>(NetworkConfig{}, files, {.lora = {.path = file}});
    EXPECT_THAT(std::string(loader.Load().message()), HasSubstr(text));
  }
}

TEST_F(ComponentLoaderTest, AdaptersAreMergedIntoThePreparedNetwork) {
  const NetworkFiles files = Save("w", Weights({}, torch::kHalf, 1));
  const std::string path = Save("lora", {{"proj.lora_A.weight", torch::full({1, 8}, 2.0)},
                                         {"proj.lora_B.weight", torch::ones({16, 1})}})
                               .weights->path();
  ComponentLoader loader;
  const auto plain = loader.Add<Network>(NetworkConfig{}, files);
  const auto adapted = loader.Add<Network>(NetworkConfig{}, files, {.lora = {.path = path}});
  ASSERT_TRUE(loader.Load().ok());
  EXPECT_TRUE(adapted->proj->weight.equal(plain->proj->weight + 2));
  EXPECT_TRUE(adapted->down->weight.equal(plain->down->weight));
}

TEST_F(ComponentLoaderTest, WritableWeightsAreNotTheFilesOwn) {
  for (const torch::ScalarType dtype : {torch::kHalf, torch::kFloat}) {
    const NetworkFiles files = Save("w", Weights({}, dtype, 1));
    ComponentLoader loader;
    const auto network = loader.Add<Network>(NetworkConfig{}, files, {.prepare = false, .writable = true});
    ASSERT_TRUE(loader.Load().ok());
    const at::NoGradGuard no_grad;
    for (torch::Tensor& parameter : network->parameters()) parameter.zero_();
    network->ids.zero_();
    EXPECT_GT(files.weights->Get("conv.weight")->abs().max().item<double>(), 0);
  }
}

TEST_F(ComponentLoaderTest, NanAndInfinityAreNoErrors) {
  NamedTensors weights = Weights({}, torch::kHalf, 1);
  for (auto& [name, tensor] : weights) {
    if (name.ends_with("weight")) tensor.view(-1)[0] = std::numeric_limits<float>::infinity();
  }
  ComponentLoader loader;
  const auto network = loader.Add<Network>(NetworkConfig{}, Save("w", weights));
  EXPECT_TRUE(loader.Load().ok());
  EXPECT_TRUE(network->proj->weight.isinf().any().item<bool>());
}

TEST_F(ComponentLoaderTest, WithoutComponentsThereIsNothingToDo) {
  EXPECT_TRUE(ComponentLoader().Load().ok());
}

}  // namespace
}  // namespace kandinsky
