#include "server/grpc_options.h"

#include <grpc/compression.h>
#include <grpc/grpc.h>
#include <grpcpp/ext/proto_server_reflection_plugin.h>
#include <grpcpp/health_check_service_interface.h>
#include <grpcpp/impl/server_builder_option.h>

#include <memory>
#include <vector>

namespace kandinsky {
namespace {

// Reflection is gRPC's only synchronous service here: a stream holds a thread for as long as its client
// likes, and its messages are parsed without a look at what they would take (500 MB for 16 MiB of empty
// fields). One thread waits for calls, so that one stream is served at a time; the next one is refused.
constexpr int kMaxSynchronousThreads = 2;
// Of gRPC's buffers for headers, small messages and replies.
constexpr int64_t kConnectionBytes = 64 << 20;
// How long a connection may be silent before the server asks whether the client still lives.
constexpr int kServerKeepaliveMs = 30'000;
constexpr int kServerKeepaliveTimeoutMs = 20'000;

int Milliseconds(double seconds) { return static_cast<int>(seconds * 1000); }

// The reflection library adds its plugin to every server of the process; this takes it away again.
class WithoutReflection : public grpc::ServerBuilderOption {
 public:
  void UpdateArguments(grpc::ChannelArguments*) override {}
  void UpdatePlugins(std::vector<std::unique_ptr<grpc::ServerBuilderPlugin>>* plugins) override {
    std::erase_if(*plugins, [](const auto& plugin) { return plugin->name() == "proto_server_reflection"; });
  }
};

}  // namespace

void ConfigureGrpc(const v1::ServerConfig& config, grpc::ServerBuilder& builder) {
  const v1::LimitsConfig& limits = config.limits();
  grpc::EnableDefaultHealthCheckService(true);
  grpc::reflection::InitProtoReflectionServerBuilderPlugin();
  if (!config.reflection()) builder.SetOption(std::make_unique<WithoutReflection>());

  // Messages are not in the byte budget before they are complete; this limits what lies in gRPC's own
  // buffers. It is no ceiling: beyond it gRPC ends one call after the other, and who sends fast is ahead of
  // that for a while. Of 200 calls of 16 MiB that never end on two connections it ends nearly all, at up to
  // three times the quota; without it everything stays.
  grpc::ResourceQuota quota("kandinsky-server");
  quota.SetMaxThreads(kMaxSynchronousThreads);
  quota.Resize(static_cast<size_t>(config.engine().max_inflight_bytes() + kConnectionBytes));
  builder.SetResourceQuota(quota);

  builder.SetMaxReceiveMessageSize(limits.max_receive_message_bytes());
  // gRPC inflates a compressed message before it checks its size, so compression is refused altogether.
  builder.SetCompressionAlgorithmSupportStatus(GRPC_COMPRESS_DEFLATE, false);
  builder.SetCompressionAlgorithmSupportStatus(GRPC_COMPRESS_GZIP, false);

  // Without this, a second server on the same port would silently share it.
  builder.AddChannelArgument(GRPC_ARG_ALLOW_REUSEPORT, 0);
  builder.AddChannelArgument(GRPC_ARG_MAX_METADATA_SIZE, limits.max_metadata_bytes());
  builder.AddChannelArgument(GRPC_ARG_MAX_CONCURRENT_STREAMS, limits.max_concurrent_streams());
  builder.AddChannelArgument(GRPC_ARG_MAX_CONNECTION_AGE_MS,
                             Milliseconds(limits.max_connection_age_seconds()));
  builder.AddChannelArgument(GRPC_ARG_MAX_CONNECTION_AGE_GRACE_MS,
                             Milliseconds(limits.max_connection_age_grace_seconds()));
  builder.AddChannelArgument(GRPC_ARG_HTTP2_MIN_RECV_PING_INTERVAL_WITHOUT_DATA_MS,
                             Milliseconds(limits.keepalive_min_interval_seconds()));
  builder.AddChannelArgument(GRPC_ARG_KEEPALIVE_PERMIT_WITHOUT_CALLS, 1);
  builder.AddChannelArgument(GRPC_ARG_KEEPALIVE_TIME_MS, kServerKeepaliveMs);
  builder.AddChannelArgument(GRPC_ARG_KEEPALIVE_TIMEOUT_MS, kServerKeepaliveTimeoutMs);
}

}  // namespace kandinsky
