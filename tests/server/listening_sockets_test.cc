#include "server/listening_sockets.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/socket.h>
#include <unistd.h>

#include <string>

#include "absl/strings/str_cat.h"

namespace kandinsky::server {
namespace {

using testing::HasSubstr;
using testing::SizeIs;

bool CanConnect(const SocketAddress& address) {
  const int descriptor = socket(address.family(), SOCK_STREAM | SOCK_CLOEXEC, 0);
  const bool connected = connect(descriptor, address.get(), address.length) == 0;
  close(descriptor);
  return connected;
}

std::string Checked(const std::string& address) { return CheckListening(address, "").ToString(); }

TEST(ParseHostPort, KnowsEachWayToWriteAnAddress) {
  struct Case {
    const char* address;
    const char* host;
    int port;
  };
  for (const Case& one :
       {Case{"127.0.0.1:50051", "127.0.0.1", 50051}, Case{"[::1]:0", "::1", 0},
        Case{"a-host.example:65535", "a-host.example", 65535}, Case{":80", "", 80}, Case{"*:80", "", 80},
        Case{"0.0.0.0:80", "", 80}, Case{"[::]:80", "", 80}, Case{"[fe80::1%eth0]:80", "fe80::1%eth0", 80}}) {
    const auto parsed = ParseHostPort(one.address);
    ASSERT_TRUE(parsed.ok()) << one.address << ": " << parsed.status();
    EXPECT_EQ(parsed->host, one.host);
    EXPECT_EQ(parsed->port, one.port);
  }
}

TEST(ParseHostPort, RefusesEverythingElse) {
  for (const char* address : {"",
                              "h",
                              "h:",
                              "h:x",
                              "h:65536",
                              "h:-1",
                              "h:+1",
                              "h: 1",
                              "h:000080",
                              "h:0x50",
                              "h:80 ",
                              "::1",
                              "::1:80",
                              "[::1]",
                              "[::1]80",
                              "[]:80",
                              "[h]:80",
                              "h/x:80",
                              "http://h:80",
                              "a h:80",
                              "unix:/tmp/s",
                              "unix:/tmp/s:1",
                              "unix-abstract:s:1",
                              "h:http"}) {
    EXPECT_EQ(ParseHostPort(address).status().code(), absl::StatusCode::kInvalidArgument) << address;
  }
  EXPECT_THAT(ParseHostPort("unix:/tmp/s").status().message(), HasSubstr("not supported"));
  EXPECT_THAT(ParseHostPort("::1:80").status().message(), HasSubstr("brackets"));
}

TEST(Listen, TakesAFreePortForPortZero) {
  const auto sockets = Listen("listen_address", "127.0.0.1:0");
  ASSERT_TRUE(sockets.ok()) << sockets.status();
  ASSERT_THAT(*sockets, SizeIs(1));
  EXPECT_GT(sockets->front().port(), 0);
  EXPECT_TRUE(CanConnect(sockets->front().ReachableAddress()));
}

TEST(Listen, ListensOnEveryAddressOfANameWithOnePort) {
  const auto sockets = Listen("listen_address", "localhost:0");
  ASSERT_TRUE(sockets.ok()) << sockets.status();
  for (const ListeningSocket& socket : *sockets) {
    EXPECT_EQ(socket.port(), sockets->front().port());
    EXPECT_TRUE(CanConnect(socket.ReachableAddress()));
  }
}

TEST(Listen, ServesBothFamiliesOnEveryInterface) {
  for (const char* address : {":0", "*:0", "0.0.0.0:0", "[::]:0"}) {
    const auto sockets = Listen("listen_address", address);
    ASSERT_TRUE(sockets.ok()) << sockets.status();
    ASSERT_THAT(*sockets, SizeIs(1));
    EXPECT_TRUE(CanConnect(sockets->front().ReachableAddress())) << address;
    SocketAddress ipv4 = Listen("listen_address", "127.0.0.1:0")->front().Address();
    ipv4.set_port(sockets->front().port());
    EXPECT_TRUE(CanConnect(ipv4)) << address;
  }
}

TEST(Listen, NamesFieldAddressAndTheSystemsReason) {
  const auto first = Listen("listen_address", "127.0.0.1:0");
  ASSERT_TRUE(first.ok());
  const std::string taken = absl::StrCat("127.0.0.1:", first->front().port());
  EXPECT_EQ(Listen("metrics_address", taken).status(),
            absl::UnavailableError(
                absl::StrCat("cannot listen on metrics_address ", taken, ": Address already in use")));
  // Addresses that no machine has: RFC 5737, RFC 6761.
  EXPECT_THAT(Listen("listen_address", "192.0.2.1:0").status().message(),
              HasSubstr("Cannot assign requested address"));
  EXPECT_THAT(Listen("listen_address", "no-such-host.invalid:0").status().message(),
              HasSubstr("cannot listen on listen_address no-such-host.invalid:0: "));
}

TEST(CheckListening, TakesWhatCanBeListenedOnAlsoWhenItIsInUse) {
  const auto running = Listen("listen_address", "127.0.0.1:0");
  ASSERT_TRUE(running.ok());
  const std::string taken = absl::StrCat("127.0.0.1:", running->front().port());
  for (const std::string& address : {taken, std::string("127.0.0.1:0"), std::string("localhost:0"),
                                     std::string(":0"), std::string("*:0"), std::string("")}) {
    EXPECT_EQ(CheckListening(address, ""), absl::OkStatus()) << address;
    EXPECT_EQ(CheckListening("", address), absl::OkStatus()) << address;
  }
}

TEST(CheckListening, RefusesWhatThisMachineHasNot) {
  EXPECT_THAT(Checked("192.0.2.1:0"), HasSubstr("listen_address 192.0.2.1:0: Cannot assign"));
  EXPECT_THAT(Checked("no-such-host.invalid:0"), HasSubstr("listen_address no-such-host.invalid:0: "));
  EXPECT_THAT(CheckListening("", "192.0.2.1:0").ToString(), HasSubstr("metrics_address 192.0.2.1:0"));
}

TEST(CheckListening, RefusesOneAddressForBoth) {
  const int port = Listen("listen_address", "127.0.0.1:0")->front().port();
  const std::string own = absl::StrCat("127.0.0.1:", port), every = absl::StrCat(":", port);
  for (const auto& [calls, metrics] : {std::pair(own, own), std::pair(own, every), std::pair(every, own)}) {
    EXPECT_EQ(CheckListening(calls, metrics),
              absl::InvalidArgumentError(
                  absl::StrCat("metrics_address ", metrics, " is taken by listen_address ", calls)));
  }
  EXPECT_EQ(CheckListening("127.0.0.1:0", "127.0.0.1:0"), absl::OkStatus());  // two free ports
}

}  // namespace
}  // namespace kandinsky::server
