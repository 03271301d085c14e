#include "server/metrics_endpoint.h"

#include <prometheus/exposer.h>

#include <utility>

#include "absl/strings/str_cat.h"
#include "base/status_macros.h"
#include "server/config.h"

namespace kandinsky {

absl::StatusOr<std::unique_ptr<MetricsEndpoint>> MetricsEndpoint::Start(
    const std::string& address, const std::vector<std::shared_ptr<prometheus::Collectable>>& collectables) {
  ASSIGN_OR_RETURN(const HostPort parsed, ParseHostPort(address));
  // civetweb wants a bare port for all interfaces, and an address instead of a name.
  const std::string host = parsed.host == "localhost" ? "127.0.0.1" : parsed.host;
  const std::string listen = host.empty() ? absl::StrCat(parsed.port) : absl::StrCat(host, ":", parsed.port);
  try {
    // A scraper that stalls keeps one of two threads, for at most the request timeout.
    auto exposer = std::make_unique<prometheus::Exposer>(std::vector<std::string>{
        "listening_ports", listen, "num_threads", "2", "request_timeout_ms", "10000"});
    for (const auto& collectable : collectables) exposer->RegisterCollectable(collectable);
    const std::vector<int> ports = exposer->GetListeningPorts();
    if (ports.empty()) return absl::UnavailableError("no port");
    return std::unique_ptr<MetricsEndpoint>(new MetricsEndpoint(std::move(exposer), ports.front()));
  } catch (const std::exception&) {
    return absl::UnavailableError(absl::StrCat("cannot listen on metrics_address ", address,
                                               ": in use, not permitted, or not an address of this machine"));
  }
}

MetricsEndpoint::MetricsEndpoint(std::unique_ptr<prometheus::Exposer> exposer, int port)
    : exposer_(std::move(exposer)), port_(port) {}

MetricsEndpoint::~MetricsEndpoint() = default;

}  // namespace kandinsky
