#include "server/listener_probe.h"

#include <gtest/gtest.h>
#include <sys/socket.h>
#include <unistd.h>

#include <atomic>
#include <future>
#include <thread>

namespace kandinsky::server {
namespace {

ListenerProbe::Options Impatient() {
  return {.interval = absl::ZeroDuration(), .patience = absl::Milliseconds(5), .failures = 3};
}

SocketAddress AddressOf(const std::vector<ListeningSocket>& sockets) {
  return sockets.front().ReachableAddress();
}

TEST(ListenerProbe, NoticesAPortThatTakesConnectionsAndAnswersNone) {
  const auto sockets = Listen("listen_address", "127.0.0.1:0");
  std::promise<void> deaf;
  const ListenerProbe probe(
      AddressOf(*sockets), [&deaf] { deaf.set_value(); }, Impatient());
  deaf.get_future().wait();
}

TEST(ListenerProbe, NoticesThatNobodyListens) {
  auto sockets = Listen("listen_address", "127.0.0.1:0");
  const SocketAddress address = AddressOf(*sockets);
  sockets->clear();
  std::promise<void> deaf;
  const ListenerProbe probe(
      address, [&deaf] { deaf.set_value(); }, Impatient());
  deaf.get_future().wait();
}

// Accepts `calls` connections and answers or closes each.
void Serve(const ListeningSocket& socket, int calls, bool answer) {
  while (calls > 0) {
    const int connection = accept4(socket.descriptor(), nullptr, nullptr, SOCK_CLOEXEC);
    if (connection < 0) {
      std::this_thread::yield();
      continue;
    }
    if (answer) {
      char byte = 0;
      EXPECT_EQ(recv(connection, &byte, 1, 0), 1);
      EXPECT_EQ(byte, 'P');  // of HTTP/2's preface
      send(connection, "\0", 1, MSG_NOSIGNAL);
    }
    close(connection);
    --calls;
  }
}

TEST(ListenerProbe, IsContentWithAnyAnswer) {
  for (const bool answer : {true, false}) {
    const auto sockets = Listen("listen_address", "127.0.0.1:0");
    std::atomic<bool> deaf = false;
    const ListenerProbe probe(
        AddressOf(*sockets), [&deaf] { deaf = true; },
        {.interval = absl::ZeroDuration(), .patience = absl::Minutes(1), .failures = 1});
    Serve(sockets->front(), 20, answer);
    EXPECT_FALSE(deaf);
  }
}

TEST(ListenerProbe, EndsInTheMiddleOfACall) {
  const auto sockets = Listen("listen_address", "127.0.0.1:0");
  int connection = -1;
  {
    const ListenerProbe probe(AddressOf(*sockets), [] { ADD_FAILURE(); },
                              {.interval = absl::ZeroDuration(), .patience = absl::Hours(1), .failures = 1});
    while (connection < 0) {
      connection = accept4(sockets->front().descriptor(), nullptr, nullptr, SOCK_CLOEXEC);
    }
  }
  close(connection);
}

}  // namespace
}  // namespace kandinsky::server
