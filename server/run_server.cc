#include "server/run_server.h"

#include <google/protobuf/stubs/logging.h>
#include <grpc/support/log.h>
#include <string.h>
#include <sys/resource.h>

#include <csignal>
#include <cstdlib>
#include <optional>
#include <string>
#include <thread>
#include <utility>

#include "base/logging.h"
#include "base/mutex.h"
#include "server/command_line.h"
#include "server/process_signals.h"

namespace kandinsky::server {
namespace {

LogLevel ToNative(v1::LogLevel level) {
  switch (level) {
    case v1::LOG_LEVEL_DEBUG:
      return LogLevel::kDebug;
    case v1::LOG_LEVEL_WARNING:
      return LogLevel::kWarning;
    case v1::LOG_LEVEL_ERROR:
      return LogLevel::kError;
    default:
      return LogLevel::kInfo;
  }
}

// Both libraries write to standard error on their own, also on behalf of hostile clients. What matters of it
// is said by the server itself; the rest is for debugging.
void RouteLibraryLogs() {
  gpr_set_log_function([](gpr_log_func_args* line) {
    Log(LogLevel::kDebug, "grpc", {{"detail", line->message}});
  });
  google::protobuf::SetLogHandler(
      [](google::protobuf::LogLevel, const char*, int, const std::string& message) {
        Log(LogLevel::kDebug, "protobuf", {{"detail", message}});
      });
}

// Every connection takes one.
void RaiseFileLimit() {
  rlimit limit{};
  if (getrlimit(RLIMIT_NOFILE, &limit) != 0) return;
  limit.rlim_cur = limit.rlim_max;
  setrlimit(RLIMIT_NOFILE, &limit);
}

// Without the ends of other threads and of static objects.
[[noreturn]] void EndAtOnce(int exit_code) {
  FlushLog();
  std::_Exit(exit_code);
}

// Why the server should stop; the first reason wins.
class StopReason {
 public:
  // `load_error` is OK for a signal.
  void Set(const absl::Status& load_error) EXCLUDES(mutex_) {
    MutexLock lock(mutex_);
    if (!reason_.has_value()) reason_ = load_error;
    changed_.NotifyAll();
  }
  absl::Status Wait() EXCLUDES(mutex_) {
    MutexLock lock(mutex_);
    while (!reason_.has_value()) changed_.Wait(mutex_);
    return *reason_;
  }

 private:
  Mutex mutex_;
  ConditionVariable changed_;
  std::optional<absl::Status> reason_ GUARDED_BY(mutex_);
};

void OnStopSignal(int count, StopReason& stop) {
  if (count == 1) {
    stop.Set(absl::OkStatus());
    return;
  }
  Log(LogLevel::kWarning, "second signal, ending at once");
  EndAtOnce(kExitFailure);
}

void OnOtherSignal(int signal) {
  if (signal == SIGHUP) {
    Log(LogLevel::kWarning, "SIGHUP: there is nothing to reload, a changed configuration needs a restart");
    return;
  }
  const char* const name = sigabbrev_np(signal);
  Log(LogLevel::kWarning, "signal without effect",
      {{"signal", name == nullptr ? std::to_string(signal) : std::string("SIG") + name}});
}

void AnnounceReady(Server& server, StopReason& stop) {
  const absl::Status status = server.WaitUntilReady();
  if (status.ok()) {
    Log(LogLevel::kInfo, "ready", {{"port", int64_t{server.port()}}});
  } else {
    stop.Set(status);
  }
}

void OnDeaf() {
  Log(LogLevel::kError, "connections are not answered any more, ending at once");
  EndAtOnce(kExitDeaf);
}

int DrainAndLog(Server& server) {
  const int cancelled = server.Drain();
  Log(LogLevel::kInfo, "stopped", {{"cancelled", int64_t{cancelled}}});
  // Neither the loader nor a step that a cancelled request was in can be interrupted, and nothing depends on
  // their ends.
  if (server.loading() || server.Snapshot().engine.active_generations > 0) EndAtOnce(kExitOk);
  return kExitOk;
}

}  // namespace

int RunServer(const v1::ServerConfig& config, Server::ModelLoader load,
              const ListenerProbe::Options& probe_options) {
  const bool text = config.log().format() == v1::LOG_FORMAT_TEXT;
  ConfigureLogging(text ? LogFormat::kText : LogFormat::kJson, ToNative(config.log().level()));
  StopReason stop;
  const ProcessSignals signals([&stop](int count) { OnStopSignal(count, stop); }, OnOtherSignal);
  RouteLibraryLogs();
  RaiseFileLimit();

  auto server = Server::Start(config, std::move(load));
  if (!server.ok()) {
    Log(LogLevel::kError, "start failed", {{"error", std::string(server.status().message())}});
    return kExitListen;
  }
  Announce("listening", {{"port", int64_t{(*server)->port()}},
                         {"metrics_port", int64_t{(*server)->metrics_port()}},
                         {"version", KANDINSKY_VERSION}});
  std::thread announcer([&] { AnnounceReady(**server, stop); });
  absl::Status load_error;
  {
    const ListenerProbe probe((*server)->address(), OnDeaf, probe_options);
    load_error = stop.Wait();
  }
  int exit_code = kExitModelLoad;
  if (load_error.ok()) {
    exit_code = DrainAndLog(**server);
  } else {
    Log(LogLevel::kError, "model could not be loaded", {{"error", load_error.ToString()}});
  }
  announcer.join();
  return exit_code;
}

}  // namespace kandinsky::server
