#pragma once

#include <map>
#include <memory>
#include <string>

#include "pipeline/diffusion/denoiser.h"
#include "pipeline/diffusion/prior.h"
#include "pipeline/family.h"

namespace kandinsky {

// The networks that low-rank adapters change, as requests with one set of them see them. Immutable.
struct AdaptedNetworks {
  std::shared_ptr<const Prior> prior;                                // null in families without
  std::map<std::string, std::shared_ptr<const Denoiser>> denoisers;  // by Capabilities::networks
  AdapterNames names;
};

// Those of them that one request runs.
struct RequestNetworks {
  std::shared_ptr<const Prior> prior;
  std::shared_ptr<const Denoiser> denoiser;  // null for tasks that make no image
  std::string prior_adapter;
};

}  // namespace kandinsky
