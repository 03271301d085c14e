#include "server/metrics_endpoint.h"

#include <arpa/inet.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <unistd.h>

#include <map>
#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"

namespace kandinsky::server {
namespace {

using testing::HasSubstr;
using testing::StartsWith;

constexpr char kText[] = "kandinsky_ready 1\n";
constexpr char kGet[] = "GET /metrics HTTP/1.1\r\nHost: x\r\n\r\n";

// One client's connection.
class Peer {
 public:
  explicit Peer(int port, bool ipv6 = false) {
    descriptor_ = socket(ipv6 ? AF_INET6 : AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    sockaddr_in address{};
    address.sin_family = AF_INET;
    address.sin_port = htons(static_cast<uint16_t>(port));
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    sockaddr_in6 address6{};
    address6.sin6_family = AF_INET6;
    address6.sin6_port = address.sin_port;
    address6.sin6_addr = in6addr_loopback;
    EXPECT_EQ(ipv6 ? connect(descriptor_, reinterpret_cast<sockaddr*>(&address6), sizeof(address6))
                   : connect(descriptor_, reinterpret_cast<sockaddr*>(&address), sizeof(address)),
              0);
  }
  ~Peer() { close(descriptor_); }
  Peer(const Peer&) = delete;
  Peer& operator=(const Peer&) = delete;

  void Send(const std::string& text) const { send(descriptor_, text.data(), text.size(), MSG_NOSIGNAL); }

  // One response: its head, in lower-case names, and its body unless `head` asked for none.
  std::string Receive(bool head = false) {
    while (received_.find("\r\n\r\n") == std::string::npos && More()) {
    }
    const size_t body = received_.find("\r\n\r\n") + 4;
    size_t size = 0;
    if (const size_t length = received_.find("Content-Length: "); length < body && !head) {
      size = std::stoul(received_.substr(length + 16));
    }
    while (received_.size() < body + size && More()) {
    }
    const std::string response = received_.substr(0, body + size);
    received_.erase(0, response.size());
    return response;
  }

  // Whether the server has closed the connection, after everything it sent.
  bool Ends() {
    while (More()) {
    }
    return true;
  }

 private:
  bool More() {
    char block[4096];
    const ssize_t got = recv(descriptor_, block, sizeof(block), 0);
    if (got > 0) received_.append(block, static_cast<size_t>(got));
    return got > 0;
  }

  int descriptor_ = -1;
  std::string received_;
};

class MetricsEndpointTest : public testing::Test {
 protected:
  static std::unique_ptr<MetricsEndpoint> Start(const std::string& address = "127.0.0.1:0") {
    auto endpoint = MetricsEndpoint::Start(address, [] { return std::string(kText); });
    EXPECT_TRUE(endpoint.ok()) << endpoint.status();
    return *std::move(endpoint);
  }

  // The answer to one request on a connection of its own.
  std::string Ask(const std::string& request) const {
    Peer peer(endpoint_->port());
    peer.Send(request);
    return peer.Receive();
  }

  const std::unique_ptr<MetricsEndpoint> endpoint_ = Start();
};

TEST_F(MetricsEndpointTest, AnswersGetWithThePage) {
  const std::string response = Ask(kGet);
  EXPECT_THAT(response, StartsWith("HTTP/1.1 200 OK\r\n"));
  EXPECT_THAT(response, HasSubstr("Content-Type: text/plain; version=0.0.4; charset=utf-8\r\n"));
  EXPECT_THAT(response, testing::EndsWith(absl::StrCat("\r\n\r\n", kText)));
}

TEST_F(MetricsEndpointTest, AnswersHeadWithoutABody) {
  Peer peer(endpoint_->port());
  peer.Send("HEAD /metrics HTTP/1.1\r\nHost: x\r\n\r\n");
  EXPECT_THAT(peer.Receive(/*head=*/true), HasSubstr(absl::StrCat("Content-Length: ", sizeof(kText) - 1)));
  peer.Send(kGet);
  EXPECT_THAT(peer.Receive(), StartsWith("HTTP/1.1 200 "));  // nothing was between the two
}

TEST_F(MetricsEndpointTest, KnowsNoOtherPathAndNoOtherMethod) {
  EXPECT_THAT(Ask("GET / HTTP/1.1\r\nHost: x\r\n\r\n"), StartsWith("HTTP/1.1 404 "));
  EXPECT_THAT(Ask("GET /metricsx HTTP/1.1\r\nHost: x\r\n\r\n"), StartsWith("HTTP/1.1 404 "));
  for (const char* method : {"POST", "PUT", "DELETE", "OPTIONS", "PATCH", "TRACE", "FOO"}) {
    const std::string response =
        Ask(absl::StrCat(method, " /metrics HTTP/1.1\r\nHost: x\r\nContent-Length: 2\r\n\r\nab"));
    EXPECT_THAT(response, StartsWith("HTTP/1.1 405 ")) << method;
    EXPECT_THAT(response, HasSubstr("\r\nAllow: GET, HEAD\r\n"));
  }
}

TEST_F(MetricsEndpointTest, TakesTheTargetInEachForm) {
  EXPECT_THAT(Ask("GET /metrics?name[]=a HTTP/1.1\r\nHost: x\r\n\r\n"), StartsWith("HTTP/1.1 200 "));
  EXPECT_THAT(Ask("GET http://x/metrics HTTP/1.1\r\nHost: x\r\n\r\n"), StartsWith("HTTP/1.1 200 "));
  EXPECT_THAT(Ask("GET http://x HTTP/1.1\r\nHost: x\r\n\r\n"), StartsWith("HTTP/1.1 404 "));
}

TEST_F(MetricsEndpointTest, KeepsAConnectionForFurtherRequestsUnlessToldNotTo) {
  Peer peer(endpoint_->port());
  for (int i = 0; i < 3; ++i) {
    peer.Send(kGet);
    EXPECT_THAT(peer.Receive(), testing::EndsWith(kText));
  }
  peer.Send("GET /metrics HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n");
  EXPECT_THAT(peer.Receive(), HasSubstr("\r\nConnection: close\r\n"));
  EXPECT_TRUE(peer.Ends());
  Peer old(endpoint_->port());
  old.Send("GET /metrics HTTP/1.0\r\n\r\n");
  EXPECT_THAT(old.Receive(), testing::EndsWith(kText));
  EXPECT_TRUE(old.Ends());
}

TEST_F(MetricsEndpointTest, AnswersPipelinedRequestsInOrder) {
  Peer peer(endpoint_->port());
  peer.Send(absl::StrCat(kGet, "GET /no HTTP/1.1\r\nHost: x\r\n\r\n", kGet));
  EXPECT_THAT(peer.Receive(), StartsWith("HTTP/1.1 200 "));
  EXPECT_THAT(peer.Receive(), StartsWith("HTTP/1.1 404 "));
  EXPECT_THAT(peer.Receive(), StartsWith("HTTP/1.1 200 "));
}

TEST_F(MetricsEndpointTest, RefusesWrongRequests) {
  EXPECT_THAT(Ask("GET /metrics HTTP/1.1\r\n\r\n"), StartsWith("HTTP/1.1 400 "));
  EXPECT_THAT(Ask("GET /metrics HTTP/1.1\r\nHost: x\r\nHost: y\r\n\r\n"), StartsWith("HTTP/1.1 400 "));
  EXPECT_THAT(Ask(absl::StrCat("GET /", std::string(100'000, 'a'), " HTTP/1.1\r\nHost: x\r\n\r\n")),
              StartsWith("HTTP/1.1 414 "));
  EXPECT_THAT(
      Ask(absl::StrCat("GET /metrics HTTP/1.1\r\nHost: x\r\nA: ", std::string(100'000, 'a'), "\r\n\r\n")),
      StartsWith("HTTP/1.1 431 "));
  EXPECT_THAT(Ask("GET /metrics HTTP/2.0\r\nHost: x\r\n\r\n"), StartsWith("HTTP/1.1 505 "));
}

TEST_F(MetricsEndpointTest, AnswersBesideAnyNumberOfPeersThatStall) {
  std::vector<std::unique_ptr<Peer>> stalled;
  for (const char* begun :
       {"", "GET /metrics HTTP/1.1\r\n", kGet}) {  // the last kind does not read its answer
    for (int i = 0; i < 100; ++i) {
      stalled.push_back(std::make_unique<Peer>(endpoint_->port()));
      stalled.back()->Send(begun);
    }
    EXPECT_THAT(Ask(kGet), testing::EndsWith(kText));
  }
}

TEST_F(MetricsEndpointTest, ListensOnIPv6) {
  const auto loopback = Start("[::1]:0");
  Peer peer(loopback->port(), /*ipv6=*/true);
  peer.Send(kGet);
  EXPECT_THAT(peer.Receive(), testing::EndsWith(kText));
}

TEST_F(MetricsEndpointTest, SaysWhyItCannotListen) {
  const std::string taken = absl::StrCat("127.0.0.1:", endpoint_->port());
  EXPECT_EQ(MetricsEndpoint::Start(taken, [] { return std::string(); }).status(),
            absl::UnavailableError(
                absl::StrCat("cannot listen on metrics_address ", taken, ": Address already in use")));
}

}  // namespace
}  // namespace kandinsky::server
