#include "tests/pipeline/models/parameter_shapes.h"

namespace kandinsky {

std::vector<std::pair<std::string, std::vector<int64_t>>> ParameterShapes(const torch::nn::Module& module) {
  std::vector<std::pair<std::string, std::vector<int64_t>>> shapes;
  for (const auto& parameter : module.named_parameters()) {
    shapes.emplace_back(parameter.key(), parameter.value().sizes().vec());
  }
  return shapes;
}

}  // namespace kandinsky
