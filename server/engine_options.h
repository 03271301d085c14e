#pragma once

#include <cstdint>

#include "kandinsky/v1/server_config.pb.h"
#include "scheduler/engine_types.h"

namespace kandinsky::server {

// The engine's rules from a complete configuration. `available_bytes` is what the process may still allocate
// once the model is loaded; a max_batch_memory_bytes of 0 stands for four fifths of it.
EngineOptions ToEngineOptions(const v1::EngineConfig& config, int64_t available_bytes);

}  // namespace kandinsky::server
