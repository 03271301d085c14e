#include "server/metrics_endpoint.h"

#include <microhttpd.h>
#include <sys/socket.h>

#include <cstring>
#include <exception>
#include <utility>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/strip.h"
#include "base/status_macros.h"
#include "server/listening_sockets.h"

namespace kandinsky::server {
namespace {

// Connections of one socket. Beyond the first number the oldest has to go; the second is never reached, at
// which the library would stop accepting.
constexpr size_t kMostConnections = 48;
constexpr unsigned kConnectionLimit = 96;
// Of a connection on which nothing happens, scrapers' own between two scrapes among them.
constexpr unsigned kIdleSeconds = 60;

struct Page {
  unsigned status = MHD_HTTP_OK;
  std::string body;
};

MHD_Result Answer(MHD_Connection* connection, const Page& page) {
  MHD_Response* const response = MHD_create_response_from_buffer(
      page.body.size(), const_cast<char*>(page.body.data()), MHD_RESPMEM_MUST_COPY);
  if (response == nullptr) return MHD_NO;
  const char* const type =
      page.status == MHD_HTTP_OK ? "text/plain; version=0.0.4; charset=utf-8" : "text/plain; charset=utf-8";
  MHD_add_response_header(response, MHD_HTTP_HEADER_CONTENT_TYPE, type);
  if (page.status == MHD_HTTP_METHOD_NOT_ALLOWED) {
    MHD_add_response_header(response, MHD_HTTP_HEADER_ALLOW, "GET, HEAD");
  }
  const MHD_Result queued = MHD_queue_response(connection, page.status, response);
  MHD_destroy_response(response);
  return queued;
}

}  // namespace

// What the library calls, all of it on the daemon's thread.
class MetricsEndpoint::Callbacks {
 public:
  static MHD_Result OnRequest(void* listener, MHD_Connection* connection, const char* url, const char* method,
                              const char* version, const char*, size_t* upload_size, void** request) {
    if (*request == nullptr) {  // the headers are there; the library may have to say 100 Continue
      *request = listener;
      return MHD_YES;
    }
    if (*upload_size > 0) {  // a body is of no interest
      *upload_size = 0;
      return MHD_YES;
    }
    const bool named = CountHosts(connection) == 1 || std::strcmp(version, MHD_HTTP_VERSION_1_1) != 0;
    return Answer(connection, named ? Make(static_cast<Listener*>(listener)->endpoint, url, method)
                                    : Page{MHD_HTTP_BAD_REQUEST, "one Host header is needed\n"});
  }

  static void OnConnection(void* listener, MHD_Connection* connection, void** place,
                           MHD_ConnectionNotificationCode code) {
    std::list<int>& connections = static_cast<Listener*>(listener)->connections;
    const int socket = MHD_get_connection_info(connection, MHD_CONNECTION_INFO_CONNECTION_FD)->connect_fd;
    if (code == MHD_CONNECTION_NOTIFY_CLOSED) {
      connections.remove(socket);
      return;
    }
    *place = nullptr;
    connections.push_back(socket);
    if (connections.size() <= kMostConnections) return;
    shutdown(connections.front(), SHUT_RDWR);  // the library sees its end and closes it
    connections.pop_front();
  }

 private:
  // RFC 9112, 3.2: a request without one host is wrong, and a target may name it too (3.2.2).
  static int CountHosts(MHD_Connection* connection) {
    int hosts = 0;
    const auto count = [](void* sum, MHD_ValueKind, const char* key, const char*) {
      *static_cast<int*>(sum) += absl::EqualsIgnoreCase(key, MHD_HTTP_HEADER_HOST) ? 1 : 0;
      return MHD_YES;
    };
    MHD_get_connection_values(connection, MHD_HEADER_KIND, count, &hosts);
    return hosts;
  }
  static absl::string_view PathOf(absl::string_view url) {
    if (!absl::ConsumePrefix(&url, "http://")) return url;
    const size_t path = url.find('/');
    return path == absl::string_view::npos ? "/" : url.substr(path);
  }

  static Page Make(const MetricsEndpoint& endpoint, const char* url, const char* method) {
    if (PathOf(url) != "/metrics") return {MHD_HTTP_NOT_FOUND, "metrics are at /metrics\n"};
    if (std::strcmp(method, MHD_HTTP_METHOD_GET) != 0 && std::strcmp(method, MHD_HTTP_METHOD_HEAD) != 0) {
      return {MHD_HTTP_METHOD_NOT_ALLOWED, "only GET and HEAD\n"};
    }
    try {
      return {MHD_HTTP_OK, endpoint.text_()};
    } catch (const std::exception&) {  // no memory
      return {MHD_HTTP_INTERNAL_SERVER_ERROR, "the metrics could not be gathered\n"};
    }
  }
};

absl::StatusOr<std::unique_ptr<MetricsEndpoint>> MetricsEndpoint::Start(const std::string& address,
                                                                        std::function<std::string()> text) {
  ASSIGN_OR_RETURN(std::vector<ListeningSocket> sockets, Listen("metrics_address", address));
  std::unique_ptr<MetricsEndpoint> endpoint(new MetricsEndpoint(std::move(text)));
  endpoint->port_ = sockets.front().port();
  for (ListeningSocket& socket : sockets) {
    auto listener = std::make_unique<Listener>(Listener{*endpoint});
    listener->daemon = MHD_start_daemon(
        MHD_USE_EPOLL_INTERNAL_THREAD | MHD_USE_ITC, 0, nullptr, nullptr, Callbacks::OnRequest,
        listener.get(), MHD_OPTION_LISTEN_SOCKET, socket.descriptor(), MHD_OPTION_NOTIFY_CONNECTION,
        Callbacks::OnConnection, listener.get(), MHD_OPTION_CONNECTION_LIMIT, kConnectionLimit,
        MHD_OPTION_CONNECTION_TIMEOUT, kIdleSeconds, MHD_OPTION_END);
    if (listener->daemon == nullptr) {
      return absl::UnavailableError(absl::StrCat("cannot serve metrics_address ", address));
    }
    socket.Release();
    endpoint->listeners_.push_back(std::move(listener));
  }
  return endpoint;
}

MetricsEndpoint::~MetricsEndpoint() {
  for (const auto& listener : listeners_) MHD_stop_daemon(listener->daemon);
}

}  // namespace kandinsky::server
