#pragma once

#include <grpcpp/support/status.h>

#include <string>

#include "pipeline/capabilities.h"

namespace kandinsky::server {

// OK when a model of these capabilities is what a request asks for: `model` is its name or empty, `adapter`
// one of its sets of adapters or empty. Else MODEL_NOT_FOUND or ADAPTER_NOT_FOUND (NotFoundError).
grpc::Status CheckServed(const Capabilities& capabilities, const std::string& model,
                         const std::string& adapter);

}  // namespace kandinsky::server
