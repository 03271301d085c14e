#include "server/grpc_options.h"

#include <grpc/grpc.h>
#include <grpcpp/resource_quota.h>

namespace kandinsky::server {
namespace {

// Of gRPC's buffers for headers, small messages and replies.
constexpr int64_t kConnectionBytes = 64 << 20;
// How long a connection may be silent before the server asks whether the client still lives.
constexpr int kServerKeepaliveMs = 30'000;
constexpr int kServerKeepaliveTimeoutMs = 20'000;

// Metadata above the limit that still come, to be refused and counted.
constexpr int kMetadataRoom = 64 << 10;

int Milliseconds(double seconds) { return static_cast<int>(seconds * 1000); }

}  // namespace

void ConfigureGrpc(const v1::ServerConfig& config, grpc::ServerBuilder& builder) {
  const v1::LimitsConfig& limits = config.limits();
  // Messages are not in the byte budget before they are complete. MessageWatch bounds those of a connection;
  // this limits what lies in gRPC's own buffers for all of them. It is no ceiling: beyond it gRPC ends one
  // call after the other, and who sends fast is ahead of that for a while. Of 200 calls of 16 MiB that never
  // end on two connections it ends nearly all, at up to three times the quota; without it everything stays.
  grpc::ResourceQuota quota("kandinsky-server");
  quota.Resize(static_cast<size_t>(config.engine().max_inflight_bytes() + kConnectionBytes));
  builder.SetResourceQuota(quota);

  // What gRPC refuses itself nobody counts, so IncomingCall does it. Nothing is lost: gRPC too looks at the
  // size of a message when it is complete. It must not inflate one before.
  builder.SetMaxReceiveMessageSize(-1);
  builder.AddChannelArgument(GRPC_ARG_ENABLE_PER_MESSAGE_DECOMPRESSION, 0);
  builder.AddChannelArgument(GRPC_ARG_MAX_METADATA_SIZE, limits.max_metadata_bytes() + kMetadataRoom);
  // Counts calls (TransportRefusals); events are for nobody.
  builder.AddChannelArgument(GRPC_ARG_ENABLE_CHANNELZ, 1);
  builder.AddChannelArgument(GRPC_ARG_MAX_CHANNEL_TRACE_EVENT_MEMORY_PER_NODE, 0);

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

}  // namespace kandinsky::server
