#pragma once

#include <functional>
#include <list>
#include <memory>
#include <string>
#include <vector>

#include "absl/status/statusor.h"

struct MHD_Daemon;

namespace kandinsky::server {

// Serves GET and HEAD of /metrics over HTTP/1.1 on a thread of its own. Any number of peers that connect and
// say nothing, or take their answer slowly, keep no other one waiting: beyond some dozens the connection that
// is open longest is closed.
class MetricsEndpoint {
 public:
  // Listens on host:port (see ParseHostPort), port 0 for a free one. `text` makes the page, in the Prometheus
  // text format; it is called on the endpoint's thread. INVALID_ARGUMENT for a malformed address, UNAVAILABLE
  // when it cannot be listened on.
  static absl::StatusOr<std::unique_ptr<MetricsEndpoint>> Start(const std::string& address,
                                                                std::function<std::string()> text);
  ~MetricsEndpoint();

  MetricsEndpoint(const MetricsEndpoint&) = delete;
  MetricsEndpoint& operator=(const MetricsEndpoint&) = delete;

  int port() const { return port_; }

 private:
  // One listening socket.
  struct Listener {
    const MetricsEndpoint& endpoint;
    std::list<int> connections = {};  // the oldest first; used by the daemon's thread
    MHD_Daemon* daemon = nullptr;
  };
  class Callbacks;

  explicit MetricsEndpoint(std::function<std::string()> text) : text_(std::move(text)) {}

  const std::function<std::string()> text_;
  int port_ = 0;
  std::vector<std::unique_ptr<Listener>> listeners_;
};

}  // namespace kandinsky::server
