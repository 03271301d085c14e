#include "clients/cpp/server_address.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <unistd.h>

#include <thread>

#include "clients/cpp/rich_error.h"
#include "tests/clients/program_test.h"

namespace kandinsky::client {
namespace {

using ::testing::AllOf;
using ::testing::HasSubstr;
using ::testing::Not;
using ::testing::StartsWith;

TEST(ServerAddressTest, IsHostAndPortOrATargetOfGrpc) {
  for (const char* address :
       {"localhost:50051", "127.0.0.1:1", "a.example:65535", "[::1]:50051", "[fe80::1%25eth0]:80", "dns:53",
        "dns:///a.example:50051", "dns:a.example", "ipv4:127.0.0.1:50051", "ipv6:[::1]:50051",
        "unix:/run/k.sock", "unix:///run/k.sock", "unix-abstract:k"}) {
    EXPECT_TRUE(CheckServerAddress(address).ok()) << CheckServerAddress(address);
  }
}

TEST(ServerAddressTest, AnythingElseIsRefusedWithWhatToGiveInstead) {
  const auto error = [](const std::string& address) {
    const absl::Status status = CheckServerAddress(address);
    EXPECT_TRUE(absl::IsInvalidArgument(status)) << address;
    return std::string(status.message());
  };
  EXPECT_EQ(error("gpu-box"), "\"gpu-box\" has no port; give host:port, e.g. gpu-box:50051");
  EXPECT_EQ(
      error("http://gpu-box:50051"),
      "\"http://gpu-box:50051\" has http:// in front, which is not for this protocol; give host:port, e.g. "
      "localhost:50051");
  EXPECT_THAT(error("https://gpu-box"), HasSubstr("has https:// in front"));
  EXPECT_THAT(error("grpc://gpu-box:1"), HasSubstr("has grpc:// in front"));
  EXPECT_EQ(error("::1:50051"),
            "\"::1:50051\" has several colons; an IPv6 address stands in brackets: [::1]:50051");
  EXPECT_EQ(error("[::1]"), "\"[::1]\" has no port; give [::1]:50051");
  for (const char* address :
       {"", " ", "a b:1", "host:", ":50051", "host:0", "host:65536", "host:port", "host:50051/", "host:-1",
        "host:+1", "host: 1", "[::1", "[]:1", "[::1]50051", "[::1]:", "unix:", "dns:"}) {
    EXPECT_THAT(error(address), HasSubstr("; ")) << address;
  }
}

TEST(ServerAddressTest, ErrorsOfTheWayAreExplainedAndThoseOfTheServiceKept) {
  const auto text = [](absl::StatusCode code, const std::string& message) {
    const absl::Status status = ExplainConnection(absl::Status(code, message), "host:1");
    EXPECT_EQ(status.code(), code);
    return std::string(status.message());
  };
  using enum absl::StatusCode;
  EXPECT_EQ(
      text(kUnavailable,
           "failed to connect to all addresses; last error: UNKNOWN: ipv4:127.0.0.1:1: Failed to connect to "
           "remote host: Connection refused"),
      "cannot reach a server at host:1: Connection refused; is it running there? --server host:port names "
      "another");
  EXPECT_THAT(text(kUnavailable,
                   "DNS resolution failed for host:1: C-ares status is not ARES_SUCCESS qtype=A "
                   "name=host is_balancer=0: Domain name not found"),
              StartsWith("cannot reach a server at host:1: Domain name not found; "));
  EXPECT_THAT(text(kUnavailable, "Socket closed"),
              StartsWith("the connection to the server at host:1 was lost (Socket closed); "));
  EXPECT_THAT(text(kUnimplemented, ""), HasSubstr("the server at host:1 does not know this call"));
  EXPECT_THAT(text(kDeadlineExceeded, "Deadline Exceeded"), HasSubstr("--timeout"));
  EXPECT_EQ(text(kInvalidArgument, "width: must be"), "width: must be");
}

class ConnectionTest : public ProgramTest {};

// A socket that nobody accepts connections of, on a free port.
TEST_F(ConnectionTest, NobodyThereIsOneLineThatSaysWhatToDo) {
  const int listener = ::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
  sockaddr_in address = {};
  address.sin_family = AF_INET;
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  socklen_t size = sizeof(address);
  ASSERT_EQ(::bind(listener, reinterpret_cast<sockaddr*>(&address), size), 0);
  ::getsockname(listener, reinterpret_cast<sockaddr*>(&address), &size);
  const std::string server = "127.0.0.1:" + std::to_string(ntohs(address.sin_port));
  for (const std::vector<std::string>& command :
       {std::vector<std::string>{"generate", "cat", "-o", Path("cat.png")},
        {"embed", "text", "cat"},
        {"list"}}) {
    std::vector<std::string> arguments = command;
    arguments.insert(arguments.end(), {"--server", server});
    const auto program = Start(arguments);
    EXPECT_EQ(program->Wait(), kExitError);
    EXPECT_EQ(program->ErrorOutput(),
              "kandinsky: UNAVAILABLE: cannot reach a server at " + server +
                  ": Connection refused; is it running there? --server host:port names "
                  "another\n");
  }
  ::close(listener);
}

TEST_F(ConnectionTest, AnAddressThatCannotBeOneIsWrongUsage) {
  EXPECT_EQ(UsageError({"list", "--server", "gpu-box"}),
            "kandinsky: --server: \"gpu-box\" has no port; give host:port, e.g. gpu-box:50051\n");
  EXPECT_THAT(UsageError({"generate", "cat", "--server", "http://localhost:50051"}), HasSubstr("http://"));
  EXPECT_THAT(UsageError({"generate", "cat", "--server", "--json"}), HasSubstr("--server"));
}

}  // namespace
}  // namespace kandinsky::client
