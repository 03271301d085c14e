#include "server/transport_refusals.h"

#include <grpc/grpc.h>
#include <grpc/support/alloc.h>

#include <algorithm>
#include <memory>
#include <nlohmann/json.hpp>
#include <string>
#include <utility>

#include "absl/strings/numbers.h"

namespace kandinsky::server {
namespace {

// gRPC counts a call and its stream one right after the other, but not at once: a look in between finds a
// call that has no stream. Looks that are so far apart do not all come in between.
constexpr absl::Duration kLookTime = absl::Seconds(1);

nlohmann::json Parsed(char* text) {
  const std::unique_ptr<char, void (*)(void*)> owned(text, gpr_free);
  return text == nullptr ? nlohmann::json()
                         : nlohmann::json::parse(text, nullptr, /*allow_exceptions=*/false);
}

// Numbers of 64 bits are strings in the JSON of protobuf.
int64_t NumberAt(const char* path, const nlohmann::json& object) {
  int64_t number = 0;
  return absl::SimpleAtoi(object.value(nlohmann::json::json_pointer(path), ""), &number) ? number : 0;
}

// The number of the newest server; 0 when there is none.
int64_t NewestServer() {
  int64_t newest = 0;
  for (bool end = false; !end;) {
    const nlohmann::json page = Parsed(grpc_channelz_get_servers(newest + 1));
    if (!page.is_object() || !page.contains("server")) break;
    end = page.value("end", false);
    for (const nlohmann::json& server : page["server"]) {
      newest = std::max(newest, NumberAt("/ref/serverId", server));
    }
  }
  return newest;
}

// A socket that is gone has none: its streams went before it. The answer counts the begun ones first, so one
// that has begun and ended meanwhile makes the number too small.
int64_t StreamsOf(int64_t socket) {
  const nlohmann::json answer = Parsed(grpc_channelz_get_socket(socket));
  if (!answer.is_object()) return 0;
  return NumberAt("/socket/data/streamsStarted", answer) - NumberAt("/socket/data/streamsSucceeded", answer) -
         NumberAt("/socket/data/streamsFailed", answer);
}

// How many streams are there, of all sockets of the server.
int64_t Streams(int64_t server) {
  int64_t streams = 0;
  int64_t last = 0;
  for (bool end = false; !end;) {
    const nlohmann::json page = Parsed(grpc_channelz_get_server_sockets(server, last + 1, /*max_results=*/0));
    if (!page.is_object() || !page.contains("socketRef")) break;
    end = page.value("end", false) || page["socketRef"].empty();
    for (const nlohmann::json& socket : page["socketRef"]) {
      last = NumberAt("/socketId", socket);
      streams += StreamsOf(last);
    }
  }
  return streams;
}

}  // namespace

void TransportRefusals::WatchNewestServer() {
  MutexLock lock(mutex_);
  server_ = NewestServer();
}

int64_t TransportRefusals::Missing() const {
  // In this order: a call that comes or goes meanwhile makes the number too small, or changes nothing, as one
  // that the streams do not have any more, and that was not refused, is among the ended ones by then.
  const nlohmann::json answer = Parsed(grpc_channelz_get_server(server_));
  const int64_t begun = answer.is_object() ? NumberAt("/server/data/callsStarted", answer) : 0;
  // As nearly always; to ask for every connection takes some milliseconds for a hundred.
  if (begun - counts_.dispatched <= taken_) return 0;
  const int64_t over = begun - Streams(server_);
  return over - counts_.ended - taken_;
}

int64_t TransportRefusals::Take() {
  MutexLock lock(mutex_);
  const int64_t missing = server_ == 0 ? 0 : Missing();
  if (missing <= 0) {
    found_ = 0;
    return 0;
  }
  const absl::Time now = clock_.Now();
  if (found_ == 0) since_ = now;
  found_ = found_ == 0 ? missing : std::min(found_, missing);
  if (now - since_ < kLookTime) return 0;
  taken_ += found_;
  return std::exchange(found_, 0);
}

}  // namespace kandinsky::server
