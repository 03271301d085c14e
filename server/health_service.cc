#include "server/health_service.h"

#include <algorithm>
#include <optional>
#include <utility>

#include "grpc/health/v1/health.pb.h"
#include "server/call_message.h"
#include "server/error_details.h"
#include "server/exception_guard.h"
#include "server/incoming_call.h"
#include "server/reaction_order.h"
#include "server/unary_call.h"

namespace kandinsky::server {
namespace {

namespace health = grpc::health::v1;
using State = health::HealthCheckResponse::ServingStatus;

constexpr char kService[] = "grpc.health.v1.Health";

State ToState(bool serving) {
  return serving ? health::HealthCheckResponse::SERVING : health::HealthCheckResponse::NOT_SERVING;
}

}  // namespace

// One call of Watch: writes the latest state, one message at a time, until the client is gone.
class HealthWatch final : public IncomingCall {
 public:
  HealthWatch(const CallContext& context, const RpcMethod& method, grpc::CallbackServerContext& rpc,
              HealthService& service)
      : IncomingCall(context, method, rpc, context.limits.max_text_message_bytes()), service_(service) {}

  // To be written, unless a newer one comes before.
  void Update(State state) EXCLUDES(write_mutex_) {
    MutexLock lock(write_mutex_);
    next_ = state;
    WriteNext();
  }

 private:
  void OnMessage(const grpc::ByteBuffer& message) override {
    health::HealthCheckRequest request;
    const std::optional<grpc::Status> error = ReadMessage(message, context().limits, request);
    if (error.has_value()) return End(*error, /*refused=*/true);
    watched_ = request.service();
    service_.Add(watched_, std::static_pointer_cast<HealthWatch>(shared_from_this()));
  }
  void Refuse(const grpc::Status& error) override { End(error, /*refused=*/true); }
  void Abandon() override {
    service_.Remove(watched_, *this);
    End(CancelledError(/*by_shutdown=*/false), /*refused=*/false);
  }

  void OnWriteDone(bool ok) override EXCLUDES(write_mutex_) {
    const ReactionOrder order(static_cast<IncomingCall*>(this));
    MutexLock lock(write_mutex_);
    writing_ = false;
    if (ok) WriteNext();
  }

  void WriteNext() REQUIRES(write_mutex_) {
    if (writing_ || ended_ || next_ == written_) return;
    health::HealthCheckResponse response;
    response.set_status(*next_);
    response_.Clear();
    if (!SerializeMessage(response, response_)) return;
    written_ = next_;
    writing_ = true;
    StartWrite(&response_);
  }

  void End(const grpc::Status& status, bool refused) EXCLUDES(write_mutex_) {
    if (!lifetime().Conclude(status, {.refused = refused})) return;
    MutexLock lock(write_mutex_);
    ended_ = true;
    Finish(status);
  }

  HealthService& service_;
  std::string watched_;  // by OnMessage
  Mutex write_mutex_;
  std::optional<State> next_ GUARDED_BY(write_mutex_);
  std::optional<State> written_ GUARDED_BY(write_mutex_);
  grpc::ByteBuffer response_ GUARDED_BY(write_mutex_);  // constant while it is being written
  bool writing_ GUARDED_BY(write_mutex_) = false;
  bool ended_ GUARDED_BY(write_mutex_) = false;
};

void HealthService::AddTo(const CallContext& context, RpcDispatcher& dispatcher) {
  AddUnary<health::HealthCheckRequest, health::HealthCheckResponse>(
      {kService, "Check", "unary"}, context, dispatcher,
      [this](const grpc::ServerContextBase&, const health::HealthCheckRequest& request,
             health::HealthCheckResponse& response) {
        MutexLock lock(mutex_);
        const auto found = serving_.find(request.service());
        if (found == serving_.end()) return NotFoundError("service", request.service());
        response.set_status(ToState(found->second));
        return grpc::Status::OK;
      });
  const RpcMethod watch = {kService, "Watch", "server_stream"};
  dispatcher.Add(watch, [this, context, watch](grpc::GenericCallbackServerContext& rpc) {
    return IncomingCall::Run(std::make_shared<HealthWatch>(context, watch, rpc, *this));
  });
}

void HealthService::SetServing(const std::string& service, bool serving) {
  MutexLock lock(mutex_);
  serving_[service] = serving;
  for (const auto& watch : watches_[service]) watch->Update(ToState(serving));
}

void HealthService::Add(const std::string& service, const std::shared_ptr<HealthWatch>& watch) {
  MutexLock lock(mutex_);
  watches_[service].push_back(watch);
  const auto found = serving_.find(service);
  watch->Update(found == serving_.end() ? health::HealthCheckResponse::SERVICE_UNKNOWN
                                        : ToState(found->second));
}

void HealthService::Remove(const std::string& service, const HealthWatch& watch) {
  std::vector<std::shared_ptr<HealthWatch>> removed;  // destroyed after the lock
  MutexLock lock(mutex_);
  const auto found = watches_.find(service);
  if (found == watches_.end()) return;
  std::vector<std::shared_ptr<HealthWatch>>& watches = found->second;
  const auto rest = std::stable_partition(watches.begin(), watches.end(),
                                          [&watch](const auto& other) { return other.get() != &watch; });
  removed.assign(rest, watches.end());
  watches.erase(rest, watches.end());
  if (watches.empty()) watches_.erase(found);
}

}  // namespace kandinsky::server
