#pragma once

#include <grpcpp/channel.h>
#include <grpcpp/client_context.h>
#include <grpcpp/support/status.h>

#include <memory>
#include <string>

namespace kandinsky::server {

// RPCs without generated code: for bytes that no generated code would send, and for services whose definition
// is not at hand (health, reflection).

struct RawReply {
  grpc::Status status;
  std::string bytes;  // of the first message
};

// Sends one message to `method` ("/package.Service/Method") and waits for the first reply and the status.
RawReply CallRaw(const std::shared_ptr<grpc::Channel>& channel, const std::string& method,
                 const std::string& message, std::unique_ptr<grpc::ClientContext> context = nullptr);

// One call of grpc.health.v1.Health: "SERVING", "NOT_SERVING", "UNKNOWN" or the code of the error.
std::string CheckHealth(const std::shared_ptr<grpc::Channel>& channel, const std::string& service);

// The body of an HTTP/1.0 GET on the loopback interface; "" when nobody listens.
std::string HttpGet(int port, const std::string& path);

}  // namespace kandinsky::server
