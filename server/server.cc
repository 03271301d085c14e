#include "server/server.h"

#include <grpc/support/time.h>
#include <grpcpp/security/server_credentials.h>
#include <grpcpp/server_builder.h>

#include <algorithm>
#include <utility>

#include "absl/strings/str_cat.h"
#include "base/logging.h"
#include "base/process_resources.h"
#include "base/status_macros.h"
#include "kandinsky/v1/embedding.grpc.pb.h"
#include "kandinsky/v1/image_generation.grpc.pb.h"
#include "kandinsky/v1/model.grpc.pb.h"
#include "server/embedding_service.h"
#include "server/engine_options.h"
#include "server/error_kinds.h"
#include "server/exception_guard.h"
#include "server/grpc_options.h"
#include "server/image_generation_service.h"
#include "server/model_service.h"
#include "server/reflection_service.h"

namespace kandinsky::server {
namespace {

// Tasks that may wait for a codec thread before requests with images are refused and previews dropped.
// Results are always taken: the byte budget bounds them.
constexpr size_t kCodecCapacity = 64;
// What comes on top of the drain bound, twice: to encode the last images, and to write the last messages.
constexpr absl::Duration kFlushTime = absl::Seconds(2);
// An open health Watch keeps Shutdown waiting for its whole deadline, so this one is short.
const gpr_timespec kShutdownTime = gpr_time_from_millis(100, GPR_TIMESPAN);

constexpr char kLiveness[] = "liveness";

// Between counts of what gRPC refused, when nobody scrapes.
constexpr absl::Duration kBetweenCounts = absl::Seconds(10);

}  // namespace

absl::StatusOr<std::unique_ptr<Server>> Server::Start(const v1::ServerConfig& config, ModelLoader load,
                                                      Clock& clock) {
  std::unique_ptr<Server> server(new Server(config, clock));
  RETURN_IF_ERROR(server->Listen());
  server->load_thread_ = std::thread([server = server.get(), load = std::move(load)] { server->Load(load); });
  return server;
}

Server::Server(const v1::ServerConfig& config, Clock& clock)
    : config_(config),
      clock_(clock),
      metrics_(
          [this] {
            CountRefused();
            return Snapshot();
          },
          absl::Seconds(config_.limits().max_deadline_seconds())),
      budget_(config_.engine().max_inflight_bytes()),
      store_(absl::Seconds(config_.results().keep_seconds()), config_.results().max_bytes(), clock),
      timer_(clock),
      refusals_(clock),
      watch_(timer_, clock),
      writer_("writer", /*threads=*/1, /*capacity=*/0),
      codec_("codec", config.codec_threads(), kCodecCapacity),
      dispatcher_(Context()),
      refused_by_grpc_(counts_, clock) {
  AddImageGenerationService(Context(), config_.operator_client_id(), dispatcher_);
  AddEmbeddingService(Context(), dispatcher_);
  AddModelService(
      Context(), config_.model().name(), [this] { return Standing(); }, dispatcher_);
  health_.AddTo(Context(), dispatcher_);
  if (config_.reflection()) AddReflectionServices(Context(), dispatcher_);
}

CallContext Server::Context() {
  return {.limits = config_.limits(),
          .serving = serving_,
          .metrics = metrics_,
          .codec = codec_,
          .writer = writer_,
          .clock = clock_,
          .timer = timer_,
          .budget = budget_,
          .store = store_,
          .refusals = refusals_,
          .watch = watch_,
          .counts = counts_};
}

Server::~Server() {
  if (!closed_) FinishWork(clock_.Now());
  if (load_thread_.joinable()) load_thread_.join();
  metrics_endpoint_.reset();  // reads the engine
  timer_.Stop();              // its callbacks use calls and the engine
  grpc_server_.reset();       // waits for the last call
  // The codec may still prepare work for the engine.
  store_.WaitUntilNoneLive(absl::InfiniteFuture());
  serving_.WaitUntilIdle(clock_, absl::InfiniteFuture());
  engine_.reset();
}

absl::Status Server::Listen() {
  ASSIGN_OR_RETURN(std::vector<ListeningSocket> sockets,
                   server::Listen("listen_address", config_.listen_address()));
  address_ = sockets.front().ReachableAddress();
  grpc::ServerBuilder builder;
  ConfigureGrpc(config_, builder);
  using Acceptor = grpc::experimental::ExternalConnectionAcceptor;
  const std::shared_ptr<Acceptor> acceptor = builder.experimental().AddExternalConnectionAcceptor(
      grpc::ServerBuilder::experimental_type::ExternalConnectionType::FROM_FD,
      grpc::InsecureServerCredentials());
  builder.RegisterCallbackGenericService(&dispatcher_);
  grpc_server_ = builder.BuildAndStart();
  if (grpc_server_ == nullptr) return absl::InternalError("gRPC does not start");
  refused_by_grpc_.WatchNewestServer();
  KeepCountingRefused();
  health_.SetServing(kLiveness, true);
  {
    MutexLock lock(health_mutex_);
    UpdateHealth();
  }
  acceptor_ =
      std::make_unique<ConnectionAcceptor>(std::move(sockets), [acceptor](int listener, int connection) {
        Acceptor::NewConnectionParameters parameters;
        parameters.listener_fd = listener;
        parameters.fd = connection;
        acceptor->HandleNewConnection(&parameters);
      });
  if (config_.metrics_address().empty()) return absl::OkStatus();
  ASSIGN_OR_RETURN(metrics_endpoint_,  // last: it reads what is above
                   MetricsEndpoint::Start(config_.metrics_address(), [this] { return metrics_.Text(); }));
  return absl::OkStatus();
}

void Server::Load(const ModelLoader& load) {
  const absl::Time start = clock_.Now();
  absl::Status status;
  GuardExceptions([&] { status = StartEngine(load); },
                  [&](const std::string& cause) { status = absl::InternalError(cause); });
  if (status.ok()) {
    metrics_.SetModel(engine_->model().capabilities(), clock_.Now() - start);
    serving_.BecomeReady(*engine_);
    MutexLock lock(health_mutex_);
    loaded_ok_ = true;
    UpdateHealth();
  }
  MutexLock lock(load_mutex_);
  load_status_ = status;
  loaded_.NotifyAll();
}

absl::Status Server::StartEngine(const ModelLoader& load) {
  ASSIGN_OR_RETURN(LoadedModel model, load());
  const Engine::Callbacks callbacks = {
      .on_step = [this](const StepRecord& step) { metrics_.RecordStep(step); },
      .on_readiness = [this](int ready_workers) { OnReadiness(ready_workers); }};
  engine_ = std::make_unique<Engine>(ToEngineOptions(config_.engine(), AvailableMemoryBytes()),
                                     std::move(model), clock_, callbacks);
  return engine_->WaitUntilReady();
}

absl::Status Server::WaitUntilReady() {
  MutexLock lock(load_mutex_);
  while (!load_status_.has_value()) loaded_.Wait(load_mutex_);
  return *load_status_;
}

bool Server::loading() const {
  MutexLock lock(load_mutex_);
  return !load_status_.has_value();
}

int Server::Drain() {
  const absl::Time lame_duck_end = clock_.Now() + absl::Seconds(config_.drain().lame_duck_seconds());
  {
    MutexLock lock(health_mutex_);
    draining_ = true;
    UpdateHealth();
  }
  Log(LogLevel::kInfo, "draining", {{"lame_duck_s", config_.drain().lame_duck_seconds()}});
  {
    MutexLock lock(health_mutex_);
    while (clock_.Now() < lame_duck_end) clock_.WaitUntil(health_mutex_, lame_duck_, lame_duck_end);
  }
  return FinishWork(clock_.Now() + absl::Seconds(config_.drain().finish_seconds()));
}

int Server::FinishWork(absl::Time deadline) {
  closed_ = true;
  if (grpc_server_ == nullptr) return 0;
  {
    MutexLock lock(health_mutex_);
    draining_ = true;
  }
  serving_.Refuse();
  const absl::Time bound = std::max(deadline, clock_.Now());
  serving_.WaitUntilArrived(clock_, deadline);  // the engine would refuse what is still being decoded
  Engine* const engine = serving_.engine();
  const int cancelled = engine == nullptr ? 0 : engine->Drain(deadline);
  // The last images are still being encoded; how fast clients read is not waited for.
  store_.WaitUntilNoneLive(bound + kFlushTime);
  serving_.WaitUntilIdle(clock_, std::min(clock_.Now(), bound + kFlushTime) + kFlushTime);
  acceptor_->Stop();
  grpc_server_->Shutdown(gpr_time_add(gpr_now(GPR_CLOCK_MONOTONIC), kShutdownTime));  // cancels what is left
  return cancelled;
}

void Server::OnReadiness(int ready_workers) {
  Log(ready_workers > 0 ? LogLevel::kWarning : LogLevel::kError, "a worker lost or regained its pipeline",
      {{"ready_workers", int64_t{ready_workers}}});
  MutexLock lock(health_mutex_);
  worker_ready_ = ready_workers > 0;
  // On the way out it is NOT_SERVING already, and the health service may be gone.
  if (!draining_) UpdateHealth();
}

void Server::UpdateHealth() {
  const bool serving = loaded_ok_ && worker_ready_ && !draining_;
  for (const char* name :
       {"", v1::ImageGenerationService::service_full_name(), v1::EmbeddingService::service_full_name()}) {
    health_.SetServing(name, serving);
  }
  health_.SetServing(v1::ModelService::service_full_name(), !draining_);
}

ModelStanding Server::Standing() const {
  const bool loading = this->loading();  // before loaded_ok_, which is final when it is false
  MutexLock lock(health_mutex_);
  if (draining_) return {.state = v1::MODEL_STATE_DRAINING};
  if (loaded_ok_ && worker_ready_) return {.state = v1::MODEL_STATE_READY};
  if (loaded_ok_) return {.state = v1::MODEL_STATE_NOT_READY, .not_ready_reason = "NO_WORKER"};
  if (loading) return {.state = v1::MODEL_STATE_LOADING};
  return {.state = v1::MODEL_STATE_NOT_READY, .not_ready_reason = "LOAD_FAILED"};
}

void Server::CountRefused() {
  const int64_t calls = refused_by_grpc_.Take();
  if (calls == 0) return;
  // What of headers gRPC refuses it answers with this code, but for those above its own limit of metadata.
  constexpr char kCode[] = "UNKNOWN";
  for (int64_t i = 0; i < calls; ++i) {
    metrics_.RecordStarted(kUnknownMethod);
    metrics_.RecordRequest(kUnknownMethod, kCode, kRefusedByTransport, absl::ZeroDuration());
  }
  refusals_.Add(kUnknownMethod.name, kCode, kRefusedByTransport, calls);
}

void Server::KeepCountingRefused() {
  CountRefused();
  timer_.At(clock_.Now() + kBetweenCounts, [this] { KeepCountingRefused(); });
}

ServingSnapshot Server::Snapshot() {
  ServingSnapshot snapshot;
  {
    MutexLock lock(health_mutex_);
    snapshot.draining = draining_;
    snapshot.ready = loaded_ok_ && worker_ready_ && !draining_;
  }
  snapshot.live_calls = serving_.live_calls();
  snapshot.preparing_requests = serving_.preparing_requests();
  snapshot.inflight_bytes = budget_.bytes();
  snapshot.kept_results = static_cast<int64_t>(store_.kept());
  if (acceptor_ != nullptr) {
    snapshot.accepted_connections = acceptor_->accepted();
    snapshot.refused_connections = acceptor_->refused();
  }
  if (const Engine* engine = serving_.engine()) snapshot.engine = engine->snapshot();
  return snapshot;
}

}  // namespace kandinsky::server
