#include "server/server.h"

#include <grpcpp/health_check_service_interface.h>
#include <grpcpp/security/server_credentials.h>
#include <grpcpp/server_builder.h>

#include <algorithm>
#include <chrono>
#include <utility>

#include "absl/strings/str_cat.h"
#include "base/logging.h"
#include "base/status_macros.h"
#include "server/exception_guard.h"
#include "server/grpc_options.h"

namespace kandinsky {
namespace {

// Encoded images that may wait for a codec thread; beyond them the workers encode themselves.
constexpr size_t kCodecCapacity = 64;
// What ended calls get on top of the drain bound to write their last messages.
constexpr absl::Duration kFlushTime = absl::Seconds(2);
// An open health Watch keeps Shutdown waiting for its whole deadline, so this one is short.
constexpr std::chrono::milliseconds kShutdownTime{100};

constexpr char kLiveness[] = "liveness";

EngineOptions ToEngineOptions(const v1::EngineConfig& config) {
  EngineOptions options;
  options.max_queued_requests = static_cast<size_t>(config.max_queued_requests());
  options.max_batch_rows = config.max_batch_rows();
  options.max_batch_latent_pixels = config.max_batch_latent_pixels();
  options.max_active_generations = config.max_active_generations();
  return options;
}

}  // namespace

absl::StatusOr<std::unique_ptr<Server>> Server::Start(const v1::ServerConfig& config, PipelineLoader load,
                                                      Clock& clock) {
  std::unique_ptr<Server> server(new Server(config, clock));
  RETURN_IF_ERROR(server->Listen());
  server->load_thread_ = std::thread([server = server.get(), load = std::move(load)] { server->Load(load); });
  return server;
}

Server::Server(const v1::ServerConfig& config, Clock& clock)
    : config_(config),
      clock_(clock),
      metrics_([this] { return Snapshot(); }),
      codec_("codec", config.codec_threads(), kCodecCapacity),
      service_({.limits = config_.limits(),
                .serving = serving_,
                .metrics = metrics_,
                .codec = codec_,
                .clock = clock_}) {}

Server::~Server() {
  if (!closed_) FinishWork(clock_.Now());
  if (load_thread_.joinable()) load_thread_.join();
  metrics_endpoint_.reset();  // reads the engine
  grpc_server_.reset();       // waits for the last call
  engine_.reset();
}

absl::Status Server::Listen() {
  if (!config_.metrics_address().empty()) {
    ASSIGN_OR_RETURN(metrics_endpoint_,
                     MetricsEndpoint::Start(config_.metrics_address(), metrics_.collectables()));
  }
  grpc::ServerBuilder builder;
  ConfigureGrpc(config_, builder);
  builder.AddListeningPort(config_.listen_address(), grpc::InsecureServerCredentials(), &port_);
  builder.RegisterService(&service_);
  grpc_server_ = builder.BuildAndStart();
  if (grpc_server_ == nullptr || port_ == 0) {
    return absl::UnavailableError(absl::StrCat("cannot listen on listen_address ", config_.listen_address(),
                                               ": in use, not permitted, or not an address of this machine"));
  }
  grpc_server_->GetHealthCheckService()->SetServingStatus(kLiveness, true);
  SetReadiness(false);
  return absl::OkStatus();
}

void Server::Load(const PipelineLoader& load) {
  const absl::Time start = clock_.Now();
  absl::Status status;
  GuardExceptions([&] { status = StartEngine(load); },
                  [&](const std::string& cause) { status = absl::InternalError(cause); });
  if (status.ok()) {
    metrics_.SetModel(engine_->capabilities(), clock_.Now() - start);
    serving_.BecomeReady(*engine_);
    SetReadiness(true);
  }
  MutexLock lock(load_mutex_);
  load_status_ = status;
  loaded_.NotifyAll();
}

absl::Status Server::StartEngine(const PipelineLoader& load) {
  ASSIGN_OR_RETURN(std::vector<PipelineFactory> factories, load());
  engine_ = std::make_unique<Engine>(ToEngineOptions(config_.engine()), std::move(factories), clock_,
                                     [this](const StepRecord& step) { metrics_.RecordStep(step); });
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
  }
  SetReadiness(false);
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
  serving_.Refuse();
  Engine* const engine = serving_.engine();
  const int cancelled = engine == nullptr ? 0 : engine->Drain(deadline);
  serving_.WaitUntilIdle(clock_, std::max(deadline, clock_.Now()) + kFlushTime);
  grpc_server_->Shutdown(std::chrono::system_clock::now() + kShutdownTime);
  return cancelled;
}

void Server::SetReadiness(bool ready) {
  MutexLock lock(health_mutex_);
  grpc::HealthCheckServiceInterface& health = *grpc_server_->GetHealthCheckService();
  const bool serving = ready && !draining_;
  health.SetServingStatus("", serving);
  health.SetServingStatus(v1::ImageGenerationService::service_full_name(), serving);
}

ServingSnapshot Server::Snapshot() const {
  ServingSnapshot snapshot;
  {
    MutexLock lock(health_mutex_);
    snapshot.draining = draining_;
  }
  snapshot.ready = serving_.state() == ServingState::State::kReady && !snapshot.draining;
  snapshot.live_calls = serving_.live_calls();
  if (const Engine* engine = serving_.engine()) {
    snapshot.engine = engine->snapshot();
    snapshot.estimated_wait = engine->EstimateWait();
  }
  return snapshot;
}

}  // namespace kandinsky
