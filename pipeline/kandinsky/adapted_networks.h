#pragma once

#include <memory>
#include <string>

#include "pipeline/models/prior_transformer.h"
#include "pipeline/models/unet_2d_condition_model.h"

namespace kandinsky {

// The two networks that low-rank adapters change, as requests with one set of them see them. Immutable.
struct AdaptedNetworks {
  std::shared_ptr<const PriorTransformer> prior;
  std::shared_ptr<const UNet2DConditionModel> unet;
  // The set's name; empty where it has nothing for this network, which then is the model's own.
  std::string prior_adapter;
  std::string unet_adapter;
};

}  // namespace kandinsky
