#pragma once

#include <map>
#include <memory>
#include <string>

#include "pipeline/models/prior_transformer.h"
#include "pipeline/models/unet_2d_condition_model.h"

namespace kandinsky {

// The networks that low-rank adapters change, as requests with one set of them see them. Immutable.
struct AdaptedNetworks {
  std::shared_ptr<const PriorTransformer> prior;
  std::map<std::string, std::shared_ptr<const UNet2DConditionModel>> unets;  // by Capabilities::networks
  // The set's name; empty where it has nothing for these networks, which then are the model's own.
  std::string prior_adapter;
  std::string unet_adapter;
};

// Those of them that one request runs.
struct RequestNetworks {
  std::shared_ptr<const PriorTransformer> prior;
  std::shared_ptr<const UNet2DConditionModel> unet;  // null for tasks that make no image
  std::string prior_adapter;
};

}  // namespace kandinsky
