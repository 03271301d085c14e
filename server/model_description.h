#pragma once

#include <string>

#include "kandinsky/v1/model.pb.h"
#include "kandinsky/v1/server_config.pb.h"
#include "scheduler/engine.h"

namespace kandinsky::server {

// Whether a model takes requests.
struct ModelStanding {
  v1::ModelState state = v1::MODEL_STATE_LOADING;
  const char* not_ready_reason = "";  // of MODEL_STATE_NOT_READY, as in v1::Model
};

// Returns what clients are told of a model. Without an engine (null), which a model has once it is loaded,
// that is `configured_name` and where it stands. `limits` are complete. Does not block.
v1::Model DescribeModel(const std::string& configured_name, const ModelStanding& standing,
                        const v1::LimitsConfig& limits, const Engine* engine);

}  // namespace kandinsky::server
