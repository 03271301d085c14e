#include "server/transport_refusals.h"

#include <grpc/grpc.h>
#include <grpc/support/alloc.h>

#include <algorithm>
#include <chrono>
#include <memory>
#include <nlohmann/json.hpp>
#include <string>
#include <thread>

#include "absl/strings/numbers.h"

namespace kandinsky {
namespace {

// A call is for a moment begun and not yet with the dispatcher, on a busy machine for many milliseconds: who
// sees one looks again.
constexpr int kLooks = 20;
constexpr std::chrono::milliseconds kBetweenLooks{2};

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

}  // namespace

void TransportRefusals::WatchNewestServer() {
  MutexLock lock(mutex_);
  server_ = NewestServer();
}

int64_t TransportRefusals::Missing() const {
  const nlohmann::json answer = Parsed(grpc_channelz_get_server(server_));
  return answer.is_object() ? NumberAt("/server/data/callsStarted", answer) - calls_() - taken_ : 0;
}

int64_t TransportRefusals::Take() {
  MutexLock lock(mutex_);
  if (server_ == 0) return 0;
  int64_t missing = Missing();
  for (int look = 1; look < kLooks && missing > 0; ++look) {
    std::this_thread::sleep_for(kBetweenLooks);
    missing = std::min(missing, Missing());
  }
  taken_ += std::max<int64_t>(missing, 0);
  return std::max<int64_t>(missing, 0);
}

}  // namespace kandinsky
