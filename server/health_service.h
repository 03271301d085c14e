#pragma once

#include <map>
#include <memory>
#include <string>
#include <vector>

#include "base/mutex.h"
#include "server/call_context.h"
#include "server/rpc_dispatcher.h"

namespace kandinsky::server {

class HealthWatch;

// grpc.health.v1.Health, https://github.com/grpc/grpc/blob/master/doc/health-checking.md. gRPC's own would
// take calls before the dispatcher, and so past the books and the limits. Outlives the calls. Thread-safe.
class HealthService {
 public:
  void AddTo(const CallContext& context, RpcDispatcher& dispatcher);

  // Whether `service` is SERVING or NOT_SERVING; other services are unknown.
  void SetServing(const std::string& service, bool serving) EXCLUDES(mutex_);

 private:
  friend class HealthWatch;
  // Sends what `service` is, now and when it changes, until Remove.
  void Add(const std::string& service, const std::shared_ptr<HealthWatch>& watch) EXCLUDES(mutex_);
  void Remove(const std::string& service, const HealthWatch& watch) EXCLUDES(mutex_);

  Mutex mutex_;
  std::map<std::string, bool> serving_ GUARDED_BY(mutex_);
  std::map<std::string, std::vector<std::shared_ptr<HealthWatch>>> watches_ GUARDED_BY(mutex_);
};

}  // namespace kandinsky::server
