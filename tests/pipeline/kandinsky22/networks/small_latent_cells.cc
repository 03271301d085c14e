#include "tests/pipeline/kandinsky22/networks/small_latent_cells.h"

#include <gtest/gtest.h>
#include <torch/types.h>

#include <fstream>
#include <nlohmann/json.hpp>
#include <utility>
#include <vector>

#include "pipeline/components/model_configs.h"
#include "pipeline/models/vq_model.h"
#include "pipeline/weights/safetensors.h"
#include "tests/pipeline/models/model_test_support.h"

namespace kandinsky::testing {

void MakeLatentCellsSmaller(const std::string& folder) {
  const std::string movq_folder = folder + "/decoder/movq/";
  const std::string config_path = movq_folder + "config.json";
  nlohmann::json json = nlohmann::json::parse(std::ifstream(config_path));
  json["block_out_channels"].erase(0);
  json["down_block_types"].erase(0);
  json["up_block_types"].erase(json["up_block_types"].size() - 1);
  std::ofstream(config_path) << json;
  const auto config = ParseVQModelConfig(config_path, json);
  ASSERT_TRUE(config.ok()) << config.status();
  VQModel movq(*config);
  RandomizeParameters(movq, 1);
  std::vector<std::pair<std::string, torch::Tensor>> tensors;
  for (const auto& parameter : movq.named_parameters()) {
    tensors.emplace_back(parameter.key(), parameter.value());
  }
  ASSERT_TRUE(WriteSafetensors(movq_folder + "diffusion_pytorch_model.safetensors", tensors).ok());
}

}  // namespace kandinsky::testing
