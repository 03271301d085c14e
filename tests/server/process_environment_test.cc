// What surrounds a server may change or be missing: nothing of that ends it or makes it wait.

#include <arpa/inet.h>
#include <fcntl.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <netinet/in.h>
#include <signal.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <string>
#include <thread>
#include <vector>

#include "tests/server/raw_rpc.h"
#include "tests/server/server_process.h"

namespace kandinsky::server {
namespace {

using testing::Each;
using testing::HasSubstr;

int PortWhenReady(ServerProcess& server) { return NumberIn(server.WaitForLine("\"msg\":\"ready\""), "port"); }

sockaddr_in Loopback(int port) {
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_port = htons(static_cast<uint16_t>(port));
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  return address;
}

// A connection, or -1.
int Connect(int port) {
  const int descriptor = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
  const sockaddr_in address = Loopback(port);
  if (connect(descriptor, reinterpret_cast<const sockaddr*>(&address), sizeof(address)) == 0)
    return descriptor;
  close(descriptor);
  return -1;
}

// A port that was free a moment ago, for servers that cannot tell theirs.
int FreePort() {
  const int descriptor = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
  sockaddr_in address = Loopback(0);
  socklen_t length = sizeof(address);
  EXPECT_EQ(bind(descriptor, reinterpret_cast<const sockaddr*>(&address), length), 0);
  EXPECT_EQ(getsockname(descriptor, reinterpret_cast<sockaddr*>(&address), &length), 0);
  close(descriptor);
  return ntohs(address.sin_port);
}

// A stub for a server that starts.
std::unique_ptr<v1::ImageGenerationService::Stub> StubWhenReady(int port) {
  int connection = -1;
  while ((connection = Connect(port)) < 0) std::this_thread::yield();
  close(connection);
  auto stub = StubOf(port);
  while (CallOnce(*stub) == grpc::StatusCode::UNAVAILABLE) std::this_thread::yield();
  return stub;
}

std::vector<grpc::StatusCode> CallMany(v1::ImageGenerationService::Stub& stub, int count) {
  std::vector<grpc::StatusCode> codes;
  for (int i = 0; i < count; ++i) codes.push_back(CallOnce(stub));
  return codes;
}

TEST(ProcessLog, APipeThatNobodyReadsStopsNeitherWorkNorTheEnd) {
  ServerProcess server({});
  fcntl(fileno(server.file()), F_SETPIPE_SZ, 4096);  // a dozen lines
  const auto stub = StubOf(PortWhenReady(server));
  EXPECT_THAT(CallMany(*stub, 100), Each(grpc::StatusCode::OK));
  server.Signal(SIGTERM);
  EXPECT_EQ(server.WaitForExitUnread(), 0);
}

TEST(ProcessLog, AClosedPipeStopsNeitherWorkNorTheEnd) {
  ServerProcess server({});
  const auto stub = StubOf(PortWhenReady(server));
  server.CloseOutput();
  EXPECT_THAT(CallMany(*stub, 10), Each(grpc::StatusCode::OK));
  server.Signal(SIGTERM);
  EXPECT_EQ(server.WaitForExitUnread(), 0);
}

TEST(ProcessLog, LinesThatAFullDiskRefusesAreCounted) {
  const int port = FreePort(), metrics_port = FreePort();
  ServerProcess server({"listen_address=127.0.0.1:" + std::to_string(port),
                        "metrics_address=127.0.0.1:" + std::to_string(metrics_port)},
                       FAKE_SERVER, "exec \"$@\" 2>/dev/full");
  const auto stub = StubWhenReady(port);
  EXPECT_THAT(CallMany(*stub, 10), Each(grpc::StatusCode::OK));
  EXPECT_THAT(HttpGet(metrics_port, "/metrics"),
              testing::ContainsRegex("\nkandinsky_log_lines_lost_total [1-9]"));
  server.Signal(SIGTERM);
  EXPECT_EQ(server.WaitForExitUnread(), 0);
}

#if !defined(__SANITIZE_ADDRESS__) && !defined(__SANITIZE_THREAD__)
TEST(ProcessDescriptors, ClosedStandardOnesAreReplaced) {
  const int port = FreePort();
  ServerProcess server({"listen_address=127.0.0.1:" + std::to_string(port)}, FAKE_SERVER,
                       "exec \"$@\" 0<&- 1>&- 2>&-");
  const auto stub = StubWhenReady(port);
  for (const char* number : {"0", "1", "2"}) {
    EXPECT_EQ(std::filesystem::read_symlink("/proc/" + std::to_string(server.pid()) + "/fd/" + number),
              "/dev/null");
  }
  server.Signal(SIGTERM);
  EXPECT_EQ(server.WaitForExitUnread(), 0);
}
#endif

TEST(ProcessDescriptors, OnceTheyAreFreeAgainTheServerServesAgain) {
  ServerProcess server({}, FAKE_SERVER, "ulimit -n 128; exec \"$@\"");
  const int port = PortWhenReady(server);
  std::vector<int> idle;
  for (int i = 0; i < 200; ++i) idle.push_back(Connect(port));
  EXPECT_THAT(server.WaitForLine("are running short"), HasSubstr("\"limit\":128"));
  EXPECT_NE(server.WaitForLine("connections are refused"), "");
  for (const int descriptor : idle) close(descriptor);
  const auto stub = StubWhenReady(port);
  EXPECT_EQ(CallOnce(*stub), grpc::StatusCode::OK);
  server.Signal(SIGTERM);
  EXPECT_EQ(server.WaitForExit(), 0);
}

TEST(ProcessSignals, NoOtherThanThoseForTheEndEndIt) {
  ServerProcess server({});
  const auto stub = StubOf(PortWhenReady(server));
  for (const int number : {SIGHUP,       SIGQUIT,  SIGUSR1, SIGUSR2,   SIGPIPE,  SIGALRM, SIGVTALRM,
                           SIGPROF,      SIGIO,    SIGPWR,  SIGSTKFLT, SIGXCPU,  SIGXFSZ, SIGRTMIN,
                           SIGRTMIN + 7, SIGRTMAX, SIGCHLD, SIGURG,    SIGWINCH, SIGCONT}) {
    server.Signal(number);
  }
  EXPECT_NE(server.WaitForLine("SIGHUP: there is nothing to reload"), "");
  EXPECT_EQ(CallOnce(*stub), grpc::StatusCode::OK);
  server.Signal(SIGTERM);
  EXPECT_EQ(server.WaitForExit(), 0);
  EXPECT_THAT(server.output(), HasSubstr("\"signal\":\"SIGUSR1\""));
}

TEST(ProcessAddresses, TellTheSystemsReason) {
  ServerProcess server({"metrics_address=192.0.2.1:0"});  // an address of no machine (RFC 5737)
  EXPECT_EQ(server.WaitForExit(), 3);
  EXPECT_THAT(server.output(),
              HasSubstr("cannot listen on metrics_address 192.0.2.1:0: Cannot assign requested address"));
}

TEST(ProcessAddresses, EveryInterfaceHasBothFamilies) {
  for (const char* every : {":0", "*:0", "[::]:0", "0.0.0.0:0"}) {
    ServerProcess server({std::string("listen_address=") + every, std::string("metrics_address=") + every});
    const std::string line = server.WaitForLine("\"msg\":\"listening\"");
    server.WaitForLine("\"msg\":\"ready\"");
    EXPECT_EQ(CallOnce(*StubOf(NumberIn(line, "port"))), grpc::StatusCode::OK) << every;
    EXPECT_THAT(HttpGet(NumberIn(line, "metrics_port"), "/metrics"), HasSubstr("kandinsky_ready 1\n"));
  }
}

#ifdef DEAF_LISTENER
TEST(ProcessProbe, AServerWhosePortAnswersNoMoreEndsWithAnExitCodeOfItsOwn) {
  std::string folder = std::filesystem::temp_directory_path() / "deaf_XXXXXX";
  ASSERT_NE(mkdtemp(folder.data()), nullptr);
  const std::string deaf = folder + "/now";
  ServerProcess server({"model.path=impatient"}, FAKE_SERVER,
                       "DEAF_WHEN=" + deaf + " LD_PRELOAD=" DEAF_LISTENER " exec \"$@\"");
  const auto stub = StubOf(PortWhenReady(server));
  EXPECT_THAT(CallMany(*stub, 20), Each(grpc::StatusCode::OK));
  std::ofstream(deaf).close();
  EXPECT_EQ(server.WaitForExit(), 5);
  EXPECT_THAT(server.output(), HasSubstr("connections are not answered any more, ending at once"));
  std::filesystem::remove_all(folder);
}
#endif

#ifdef STEPPING_WALL_CLOCK
TEST(ProcessTime, StepsOfTheWallClockChangeNoDeadline) {
  ServerProcess server({}, FAKE_SERVER, "LD_PRELOAD=" STEPPING_WALL_CLOCK " exec \"$@\"");
  const auto stub = StubOf(PortWhenReady(server));
  EXPECT_THAT(CallMany(*stub, 20), Each(grpc::StatusCode::OK));
  for (int i = 0; i < 20; ++i) {
    v1::GenerateRequest request;
    request.set_prompt("a red cat");
    request.set_steps(1);
    grpc::ClientContext context;
    context.set_deadline(std::chrono::system_clock::now() + std::chrono::seconds(60));
    v1::GenerateImagesResponse response;
    const grpc::Status status = stub->GenerateImages(&context, request, &response);
    EXPECT_TRUE(status.ok()) << status.error_message();
  }
}
#endif

}  // namespace
}  // namespace kandinsky::server
