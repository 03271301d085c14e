#pragma once

#include <grpcpp/server.h>

#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <thread>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "base/clock.h"
#include "base/executor.h"
#include "base/mutex.h"
#include "kandinsky/v1/server_config.pb.h"
#include "scheduler/engine.h"
#include "server/byte_budget.h"
#include "server/call_counts.h"
#include "server/connection_acceptor.h"
#include "server/generation_store.h"
#include "server/health_service.h"
#include "server/listening_sockets.h"
#include "server/message_watch.h"
#include "server/metrics.h"
#include "server/metrics_endpoint.h"
#include "server/model_description.h"
#include "server/refusal_log.h"
#include "server/rpc_dispatcher.h"
#include "server/serving_state.h"
#include "server/timer.h"
#include "server/transport_refusals.h"

namespace kandinsky::server {

// The whole server: gRPC services, health, reflection, metrics endpoint and, once the model is loaded, the
// engine. Health names: "" and the services' names are SERVING while the model is loaded, a worker has a
// pipeline and no drain has begun, ModelService's, which needs no model, until a drain begins, "liveness"
// from start to shutdown. Thread-safe.
class Server {
 public:
  // Loads the model (seconds to minutes). Runs on a thread of the server.
  using ModelLoader = std::function<absl::StatusOr<LoadedModel>()>;

  // Listens at once and loads meanwhile; calls are UNAVAILABLE until the model is ready. `config` is complete
  // and valid (see config.h), `clock` outlives the server. UNAVAILABLE, with the address and the system's
  // reason, when one of the two addresses cannot be listened on.
  static absl::StatusOr<std::unique_ptr<Server>> Start(const v1::ServerConfig& config, ModelLoader load,
                                                       Clock& clock = Clock::Real());

  // Ends everything at once: running work is cancelled. Waits for the loader, if it still runs.
  ~Server();

  Server(const Server&) = delete;
  Server& operator=(const Server&) = delete;

  // Where this machine reaches the gRPC service.
  const SocketAddress& address() const { return address_; }

  // The ports that are really listened on; metrics_port is 0 when metrics are off.
  int port() const { return address_.port(); }
  int metrics_port() const { return metrics_endpoint_ == nullptr ? 0 : metrics_endpoint_->port(); }

  // What /metrics answers, also when its address is empty.
  std::string MetricsText() const { return metrics_.Text(); }

  // What the gauges of /metrics show now.
  ServingSnapshot Snapshot() EXCLUDES(health_mutex_);

  // Blocks until loading ended; its error, if any.
  absl::Status WaitUntilReady() EXCLUDES(load_mutex_);

  // Whether the loader still runs.
  bool loading() const EXCLUDES(load_mutex_);

  // Whether the model takes requests.
  ModelStanding Standing() const EXCLUDES(load_mutex_, health_mutex_);

  // Stops in order: not ready; lame duck; refuse new calls; wait for the accepted ones; cancel the rest.
  // Returns how many had to be cancelled. Blocks; once.
  int Drain() EXCLUDES(health_mutex_);

 private:
  Server(const v1::ServerConfig& config, Clock& clock);

  CallContext Context();
  absl::Status Listen() EXCLUDES(health_mutex_);
  void Load(const ModelLoader& load) EXCLUDES(load_mutex_, health_mutex_);
  absl::Status StartEngine(const ModelLoader& load);
  // Refuses new work, ends the accepted one by `deadline`, closes the port.
  int FinishWork(absl::Time deadline) EXCLUDES(health_mutex_);
  void UpdateHealth() REQUIRES(health_mutex_);
  // Counts and logs what gRPC has refused below the services; now, and from then on again and again.
  void CountRefused();
  void KeepCountingRefused();
  // Some workers have lost or regained their pipelines.
  void OnReadiness(int ready_workers) EXCLUDES(health_mutex_);

  const v1::ServerConfig config_;
  Clock& clock_;
  ServingState serving_;
  Metrics metrics_;
  ByteBudget budget_;
  GenerationStore store_;
  Timer timer_;
  RefusalLog refusals_;
  MessageWatch watch_;
  CallCounts counts_;
  Executor writer_;  // after what its tasks use
  Executor codec_;   // the same, the writer included
  HealthService health_;
  RpcDispatcher dispatcher_;
  TransportRefusals refused_by_grpc_;
  std::unique_ptr<Engine> engine_;  // set by the load thread; others use serving_.engine()
  std::unique_ptr<grpc::Server> grpc_server_;
  std::unique_ptr<ConnectionAcceptor> acceptor_;  // its connections go to grpc_server_
  std::unique_ptr<MetricsEndpoint> metrics_endpoint_;
  SocketAddress address_;
  bool closed_ = false;  // FinishWork has run

  mutable Mutex health_mutex_;
  ConditionVariable lame_duck_;
  bool loaded_ok_ GUARDED_BY(health_mutex_) = false;
  bool worker_ready_ GUARDED_BY(health_mutex_) = true;  // some worker has its pipeline
  bool draining_ GUARDED_BY(health_mutex_) = false;

  mutable Mutex load_mutex_;
  ConditionVariable loaded_;
  std::optional<absl::Status> load_status_ GUARDED_BY(load_mutex_);
  std::thread load_thread_;
};

}  // namespace kandinsky::server
