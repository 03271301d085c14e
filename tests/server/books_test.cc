#include <grpc/grpc.h>
#include <grpc/support/alloc.h>
#include <gtest/gtest.h>

#include <functional>
#include <map>
#include <memory>
#include <sstream>
#include <thread>
#include <utility>
#include <vector>

#include "absl/strings/ascii.h"
#include "absl/strings/match.h"
#include "base/logging.h"
#include "server/error_details.h"
#include "tests/fakes/fake_clock.h"
#include "tests/server/raw_http2.h"
#include "tests/server/raw_rpc.h"
#include "tests/server/test_server.h"

// Every call that a client saw end is in the server's metrics, with the code that the client saw.

namespace kandinsky::server {
namespace {

constexpr char kGenerateImages[] = "/kandinsky.v1.ImageGenerationService/GenerateImages";
constexpr char kCheck[] = "/grpc.health.v1.Health/Check";
constexpr char kReflection[] = "/grpc.reflection.v1.ServerReflection/ServerReflectionInfo";

using Counts = std::map<std::string, int>;

// The metrics of all methods by the value of `label`.
Counts CountsOf(const std::string& metric, const std::string& label, const std::string& text) {
  Counts counts;
  std::istringstream lines(text);
  for (std::string line; std::getline(lines, line);) {
    if (!absl::StartsWith(line, metric + "{")) continue;
    const int value = std::stoi(line.substr(line.rfind(' ')));
    const size_t begin = line.find(label + "=\"") + label.size() + 2;
    if (value > 0) counts[line.substr(begin, line.find('"', begin) - begin)] += value;
  }
  return counts;
}

int Sum(const Counts& counts) {
  int sum = 0;
  for (const auto& [name, count] : counts) sum += count;
  return sum;
}

Counts Handled(const Server& server) {
  return CountsOf("grpc_server_handled_total", "grpc_code", server.MetricsText());
}

// The metrics learn of an end when gRPC has sent it.
void WaitForCalls(const Server& server, int calls) {
  while (Sum(Handled(server)) < calls) std::this_thread::yield();
}

// "INVALID_ARGUMENT" -> "InvalidArgument", as the label has it.
std::string Label(grpc::StatusCode code) {
  if (code == grpc::StatusCode::OK) return "OK";
  if (code == grpc::StatusCode::CANCELLED) return "Canceled";
  std::string label;
  bool begins = true;
  for (const char c : std::string(StatusCodeName(code))) {
    if (c != '_') label += begins ? c : absl::ascii_tolower(static_cast<unsigned char>(c));
    begins = c == '_';
  }
  return label;
}

v1::GenerateRequest WithImage(size_t bytes) {
  v1::GenerateRequest request = SmallRequest();
  request.mutable_image_to_image()->set_image(std::string(bytes, 'a'));
  return request;
}

// Calls of each kind and how they ended for the client.
class Books : public testing::Test {
 protected:
  static void SetUpTestSuite() { ConfigureLogging(LogFormat::kText, LogLevel::kError); }

  void Note(const grpc::Status& status) { ++seen_[Label(status.error_code())]; }

  grpc::Status Unary(const v1::GenerateRequest& request,
                     const std::function<void(grpc::ClientContext&)>& prepare = nullptr) {
    grpc::ClientContext context;
    if (prepare != nullptr) prepare(context);
    v1::GenerateImagesResponse response;
    return server_.stub().GenerateImages(&context, request, &response);
  }

  void Raw(const std::string& path, const std::string& message) {
    Note(CallRaw(server_.channel(), path, message).status);
  }

  // A call that ends early, and no gRPC client would make.
  void Http2(const RawHttp2::Headers& headers, const std::string& code) {
    RawHttp2 connection(server_.server().port());
    connection.SendHeaders(headers);
    connection.WaitForEnd();
    ++seen_[code];
  }

  void ExpectBalance() {
    WaitForCalls(server_.server(), Sum(seen_));
    EXPECT_EQ(Handled(server_.server()), seen_);
    EXPECT_EQ(Sum(CountsOf("grpc_server_started_total", "grpc_method", server_.server().MetricsText())),
              Sum(seen_));
    EXPECT_EQ(Sum(CountsOf("kandinsky_requests_total", "code", server_.server().MetricsText())), Sum(seen_));
  }

  TestServer server_{
      {.overrides = {"limits.max_receive_message_bytes=100000", "limits.max_image_bytes=9000"}}};
  Counts seen_;
};

TEST_F(Books, HaveTheCallsThatAreRefusedBeforeTheirMessageIsRead) {
  for (int i = 0; i < 3; ++i) {
    Note(Unary(SmallRequest(std::string(4000, 'a')),
               [](auto& context) { context.set_compression_algorithm(GRPC_COMPRESS_GZIP); }));
    Note(Unary(WithImage(100'000)));
    Raw("/kandinsky.v1.ImageGenerationService/Nothing", "");
    Raw("/kandinsky.v9.Nobody/Nothing", "abc");
    Note(Unary(SmallRequest(),
               [](auto& context) { context.AddMetadata("x-filler", std::string(9000, 'a')); }));
    for (const char* path : {kCheck, kReflection}) {
      auto context = std::make_unique<grpc::ClientContext>();
      context->AddMetadata("x-filler", std::string(9000, 'a'));
      Note(CallRaw(server_.channel(), path, "", std::move(context)).status);
    }
  }
  EXPECT_EQ(seen_, (Counts{{"Unimplemented", 9}, {"ResourceExhausted", 12}}));
  ExpectBalance();
}

TEST_F(Books, HaveTheCallsOfAllServicesByTheirCodes) {
  Note(Unary(SmallRequest()));
  Note(Unary(WithImage(1000)));
  Raw(kGenerateImages, "\x0A\x7F garbage");
  Raw("/kandinsky.v1.EmbeddingService/EmbedText", std::string(90'000, 'a'));
  Raw("/kandinsky.v1.ModelService/ListModels", "");
  Raw("/kandinsky.v1.ModelService/GetModel", "\x0A\x06nobody");
  Raw("/kandinsky.v1.ModelService/GetModel", "\xFF");
  Raw(kCheck, "");
  Raw(kCheck, "\x0A\x06nobody");
  Raw(kCheck, "\xFF");
  Raw(kReflection, std::string("\x3A\x00", 2));
  Raw(kReflection, "\xFF");
  Raw(kReflection, std::string(5000, 'a'));
  EXPECT_EQ(seen_, (Counts{{"OK", 4}, {"InvalidArgument", 5}, {"ResourceExhausted", 2}, {"NotFound", 2}}));
  ExpectBalance();
}

TEST_F(Books, HaveTheCallsThatAreNoCallsOfGrpc) {
  const RawHttp2::Headers good = RawHttp2::CallHeaders(kGenerateImages);
  for (size_t missing = 0; missing < good.size() - 1;
       ++missing) {  // a missing content-type is nothing to gRPC
    RawHttp2::Headers headers = good;
    headers.erase(headers.begin() + static_cast<std::ptrdiff_t>(missing));
    Http2(headers, "Unknown");
  }
  RawHttp2::Headers get = good;
  get[0].second = "GET";
  Http2(get, "Unknown");
  ExpectBalance();
}

// How many calls gRPC has begun for the newest server of this process.
int64_t BegunCalls() {
  const auto text = [](char* json) {
    const std::unique_ptr<char, void (*)(void*)> owned(json, gpr_free);
    return std::string(json == nullptr ? "" : json);
  };
  const auto numbers = [](const std::string& json, const std::string& key) {
    std::vector<int64_t> found;
    const std::string begin = "\"" + key + "\":\"";
    for (size_t at = json.find(begin); at != std::string::npos; at = json.find(begin, at + 1)) {
      found.push_back(std::stoll(json.substr(at + begin.size())));
    }
    return found;
  };
  const std::vector<int64_t> servers = numbers(text(grpc_channelz_get_servers(0)), "serverId");
  if (servers.empty()) return 0;
  const std::vector<int64_t> begun = numbers(text(grpc_channelz_get_server(servers.back())), "callsStarted");
  return begun.empty() ? 0 : begun.front();
}

// However long they take: a call on its way is not one that gRPC has refused.
TEST(BooksOfRefusals, HaveNoCallWhoseHeadersStillCome) {
  FakeClock clock;
  TestServer server({.clock = &clock});
  RawHttp2 slow(server.server().port());
  RawHttp2::Headers first = RawHttp2::CallHeaders(kGenerateImages);
  const RawHttp2::Headers rest(first.begin() + 2, first.end());
  first.resize(2);
  slow.BeginHeaders(first);
  while (BegunCalls() < 1) std::this_thread::yield();
  {
    RawHttp2 refused(server.server().port());
    refused.SendHeaders(first);  // ends here
    refused.WaitForEnd();
  }
  while (Handled(server.server()) != Counts{{"Unknown", 1}}) {
    clock.Advance(absl::Seconds(1));
    ASSERT_LE(Sum(Handled(server.server())), 1);
  }
  slow.EndHeaders(rest);
  slow.SendData(5, std::string(5, '\0'), /*end_stream=*/true);
  slow.WaitForEnd();
  WaitForCalls(server.server(), 2);
  for (int i = 0; i < 5; ++i) {
    clock.Advance(absl::Seconds(1));
    EXPECT_EQ(Handled(server.server()), (Counts{{"InvalidArgument", 1}, {"Unknown", 1}}));
  }
}

TEST_F(Books, HaveTheCallsWithoutAMessageAndThoseThatNeverComeToAnEnd) {
  RawHttp2 empty(server_.server().port());
  empty.SendHeaders(RawHttp2::CallHeaders(kGenerateImages), /*end_stream=*/true);
  empty.WaitForEnd();
  ++seen_["InvalidArgument"];
  RawHttp2::Headers headers = RawHttp2::CallHeaders(kGenerateImages);
  headers.emplace_back("grpc-timeout", "50m");
  RawHttp2 late(server_.server().port());
  late.SendHeaders(headers);
  late.SendData(1000, std::string("\0\0\0\xFF\xFF", 5));
  late.WaitForEnd();
  ++seen_["DeadlineExceeded"];
  {
    RawHttp2 gone(server_.server().port());
    gone.SendHeaders(RawHttp2::CallHeaders(kGenerateImages));
    gone.SendData(1000, std::string("\0\0\0\xFF\xFF", 5));
    while (Sum(CountsOf("grpc_server_started_total", "grpc_method", server_.server().MetricsText())) < 3) {
      std::this_thread::yield();
    }
  }
  ++seen_["Canceled"];
  ExpectBalance();
}

TEST_F(Books, HaveTheMessagesThatDeclareFarMoreThanTheyMayHaveWhichAreEndedOnTheirWay) {
  constexpr int64_t kDeclared = 1 << 30;
  for (const char* path : {kGenerateImages, kCheck, kReflection}) {
    RawHttp2 connection(server_.server().port());
    connection.SendHeaders(RawHttp2::CallHeaders(path));
    EXPECT_LT(connection.SendData(kDeclared, std::string("\0\x40\0\0\0", 5)), kDeclared) << path;
    EXPECT_TRUE(connection.ended()) << path;
    ++seen_["ResourceExhausted"];
  }
  ExpectBalance();
}

// A request for more than gRPC takes from the server before the client reads.
v1::GenerateRequest LargeRequest() {
  v1::GenerateRequest request = SmallRequest();
  request.set_width(1024);
  request.set_height(1024);
  request.set_image_count(3);
  request.mutable_output()->set_format(v1::OUTPUT_FORMAT_RAW_RGB);
  return request;
}

TestServerOptions LargeImages() {
  TestServerOptions options;
  options.pipeline.image_edge = 0;
  return options;
}

TEST(BooksOfDelivery, HaveAnAnswerThatCouldNotBeDeliveredAsCancelled) {
  TestServer server(LargeImages());
  v1::GenerateRequest request = LargeRequest();
  request.set_request_id("unread");
  OpenStream call(server.stub(), request);
  // The request has ended, and nobody reads its answer. Images are counted, and workers free, a little
  // before.
  server.WaitForMetric("kandinsky_kept_results 1");
  call.Cancel();
  EXPECT_EQ(call.End().status.error_code(), grpc::StatusCode::CANCELLED);
  WaitForCalls(server.server(), 1);
  EXPECT_EQ(Handled(server.server()), (Counts{{"Canceled", 1}}));
  EXPECT_EQ(CountsOf("kandinsky_requests_total", "reason", server.server().MetricsText()),
            (Counts{{"NOT_DELIVERED", 1}}));
}

TEST(BooksOfDelivery, HaveAnAnswerThatIsNotReadInTimeAsLate) {
  TestServer server(LargeImages());
  OpenStream call(server.stub(), LargeRequest(), "", absl::Seconds(1));
  WaitForCalls(server.server(), 1);
  EXPECT_EQ(Handled(server.server()), (Counts{{"DeadlineExceeded", 1}}));
  EXPECT_EQ(call.End().status.error_code(), grpc::StatusCode::DEADLINE_EXCEEDED);
}

// Calls of every kind from several clients at once.
TEST_F(Books, BalanceAfterAStormOfEveryKind) {
  constexpr int kThreads = 4;
  constexpr int kRounds = 40;
  std::vector<Counts> seen(kThreads);
  std::vector<std::thread> threads;
  for (int thread = 0; thread < kThreads; ++thread) {
    threads.emplace_back([this, &counts = seen[static_cast<size_t>(thread)]] {
      const auto channel = server_.NewChannel();
      const auto stub = v1::ImageGenerationService::NewStub(channel);
      const auto note = [&counts](const grpc::Status& status) { ++counts[Label(status.error_code())]; };
      for (int i = 0; i < kRounds; ++i) {
        v1::GenerateImagesResponse response;
        grpc::ClientContext good;
        note(stub->GenerateImages(&good, SmallRequest(), &response));
        grpc::ClientContext zipped;
        zipped.set_compression_algorithm(GRPC_COMPRESS_DEFLATE);
        note(stub->GenerateImages(&zipped, SmallRequest(std::string(4000, 'a')), &response));
        grpc::ClientContext large;
        note(stub->GenerateImages(&large, WithImage(200'000), &response));
        note(CallRaw(channel, "/a.B/C", "abc").status);
        note(CallRaw(channel, kGenerateImages, "\x0A\x7F garbage").status);
        note(CallRaw(channel, kCheck, "\x0A\x01x").status);
        OpenStream cancelled(*stub, SmallRequest());
        cancelled.WaitFor(v1::GenerateEvent::kQueued);
        cancelled.Cancel();
        note(cancelled.End().status);
      }
    });
  }
  for (std::thread& thread : threads) thread.join();
  for (const Counts& counts : seen) {
    for (const auto& [code, count] : counts) seen_[code] += count;
  }
  WaitForCalls(server_.server(), kThreads * kRounds * 7);
  Counts handled = Handled(server_.server());
  // A cancellation may be too late to be one: then the client throws an end away that the server has sent.
  const int cancelled = seen_["Canceled"];
  EXPECT_LE(handled["Canceled"], cancelled);
  handled["OK"] -= cancelled - handled["Canceled"];
  handled["Canceled"] = cancelled;
  EXPECT_EQ(handled, seen_);
}

}  // namespace
}  // namespace kandinsky::server
