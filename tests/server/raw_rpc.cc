#include "tests/server/raw_rpc.h"

#include <arpa/inet.h>
#include <grpcpp/completion_queue.h>
#include <grpcpp/generic/generic_stub.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <unistd.h>

#include "absl/strings/str_cat.h"

namespace kandinsky::server {
namespace {

void WaitFor(grpc::CompletionQueue& queue) {
  void* tag = nullptr;
  bool ok = false;
  queue.Next(&tag, &ok);
}

grpc::ByteBuffer ToBuffer(const std::string& bytes) {
  const grpc::Slice slice(bytes);
  return grpc::ByteBuffer(&slice, 1);
}

std::string ToString(const grpc::ByteBuffer& buffer) {
  std::vector<grpc::Slice> slices;
  if (!buffer.Valid() || !buffer.Dump(&slices).ok()) return "";
  std::string bytes;
  for (const grpc::Slice& slice : slices)
    bytes.append(reinterpret_cast<const char*>(slice.begin()), slice.size());
  return bytes;
}

}  // namespace

RawReply CallRaw(const std::shared_ptr<grpc::Channel>& channel, const std::string& method,
                 const std::string& message, std::unique_ptr<grpc::ClientContext> context) {
  if (context == nullptr) context = std::make_unique<grpc::ClientContext>();
  grpc::GenericStub stub(channel);
  grpc::CompletionQueue queue;
  const auto stream = stub.PrepareCall(context.get(), method, &queue);
  stream->StartCall(nullptr);
  WaitFor(queue);
  stream->WriteLast(ToBuffer(message), grpc::WriteOptions(), nullptr);
  WaitFor(queue);
  RawReply reply;
  grpc::ByteBuffer buffer;
  stream->Read(&buffer, nullptr);
  WaitFor(queue);
  reply.bytes = ToString(buffer);
  stream->Finish(&reply.status, nullptr);
  WaitFor(queue);
  return reply;
}

std::string CheckHealth(const std::shared_ptr<grpc::Channel>& channel, const std::string& service) {
  std::string request;
  if (!service.empty())
    request = absl::StrCat("\x0A", std::string(1, static_cast<char>(service.size())), service);
  grpc::GenericStub stub(channel);
  grpc::ClientContext context;
  context.set_wait_for_ready(true);
  grpc::CompletionQueue queue;
  const auto call =
      stub.PrepareUnaryCall(&context, "/grpc.health.v1.Health/Check", ToBuffer(request), &queue);
  grpc::ByteBuffer buffer;
  grpc::Status status;
  call->StartCall();
  call->Finish(&buffer, &status, nullptr);
  WaitFor(queue);
  if (!status.ok()) return absl::StrCat("error ", static_cast<int>(status.error_code()));
  const std::string reply = ToString(buffer);
  if (reply == "\x08\x01") return "SERVING";
  if (reply == "\x08\x02") return "NOT_SERVING";
  return "UNKNOWN";
}

std::string HttpGet(int port, const std::string& path) {
  const int file = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_port = htons(static_cast<uint16_t>(port));
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  std::string reply;
  if (connect(file, reinterpret_cast<const sockaddr*>(&address), sizeof(address)) == 0) {
    const std::string request = absl::StrCat("GET ", path, " HTTP/1.0\r\n\r\n");
    if (send(file, request.data(), request.size(), MSG_NOSIGNAL) == static_cast<ssize_t>(request.size())) {
      char block[4096];
      for (ssize_t got = 0; (got = recv(file, block, sizeof(block), 0)) > 0;) {
        reply.append(block, static_cast<size_t>(got));
      }
    }
  }
  close(file);
  const size_t body = reply.find("\r\n\r\n");
  return body == std::string::npos ? "" : reply.substr(body + 4);
}

}  // namespace kandinsky::server
