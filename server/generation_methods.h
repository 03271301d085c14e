#pragma once

#include <grpcpp/server_context.h>
#include <grpcpp/support/status.h>

#include <string>
#include <utility>

#include "kandinsky/v1/image_generation.pb.h"
#include "server/call_context.h"

namespace kandinsky::server {

// The unary methods that deal with requests of other calls. None blocks. Thread-safe.
class GenerationMethods {
 public:
  // `operator_client_id` is the client that may list everybody's requests, "" for none.
  GenerationMethods(const CallContext& context, std::string operator_client_id)
      : context_(context), operator_client_id_(std::move(operator_client_id)) {}

  grpc::Status Cancel(const grpc::ServerContextBase& rpc, const v1::CancelGenerationRequest& request,
                      v1::CancelGenerationResponse& response) const;
  grpc::Status Get(const grpc::ServerContextBase& rpc, const v1::GetGenerationRequest& request,
                   v1::Generation& response) const;
  grpc::Status List(const grpc::ServerContextBase& rpc, const v1::ListGenerationsRequest& request,
                    v1::ListGenerationsResponse& response) const;

 private:
  const CallContext context_;
  const std::string operator_client_id_;
};

}  // namespace kandinsky::server
