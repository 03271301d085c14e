#include <gtest/gtest.h>

#include <atomic>
#include <random>
#include <thread>

#include "absl/strings/str_cat.h"
#include "base/logging.h"
#include "server/error_details.h"
#include "tests/server/test_server.h"

namespace kandinsky::server {
namespace {

using Kind = v1::GenerateEvent::EventCase;

constexpr int kThreads = 4;
constexpr int kCalls = 5000;

// One client thread: calls of every kind in an order that its seed decides. What must go well is checked.
class StormThread {
 public:
  StormThread(const TestServer& server, unsigned seed)
      : stub_(v1::ImageGenerationService::NewStub(server.NewChannel())),
        random_(seed),
        name_(absl::StrCat("client-", seed)) {}

  void Call(int number) {
    switch (Draw(8)) {
      case 0:
        ExpectOk(OpenStream(*stub_, Request("good"), name_).End().status);
        break;
      case 1:
        CallUnary();
        break;
      case 2:
        CancelOwnCall(Request("good"));
        break;
      case 3:
        OpenStream(*stub_, Request("good"), name_, absl::Milliseconds(Draw(4))).End();
        break;
      case 4:
        EXPECT_FALSE(OpenStream(*stub_, Request("bad"), name_).End().status.ok());
        break;
      case 5:
        CancelOwnCall(Detached(absl::StrCat("detached-", number)));
        break;
      case 6:
        ExpectOk(OpenStream(*stub_, Joined(), "everyone").End().status);
        break;
      default:
        CancelByName(absl::StrCat("named-", number));
    }
  }

 private:
  static void ExpectOk(const grpc::Status& status) {
    EXPECT_TRUE(status.ok()) << StatusCodeName(status.error_code()) << " " << ErrorReason(status);
  }

  int Draw(int below) { return static_cast<int>(random_() % static_cast<unsigned>(below)); }

  v1::GenerateRequest Request(const std::string& prompt) {
    v1::GenerateRequest request = SmallRequest(prompt);
    request.set_steps(1);
    request.set_prior_steps(2);
    request.set_image_count(Draw(4) == 0 ? 2 : 1);
    request.set_priority(static_cast<v1::Priority>(Draw(4)));
    return request;
  }

  v1::GenerateRequest Detached(const std::string& id) {
    v1::GenerateRequest request = Request("good");
    request.set_request_id(id);
    request.set_detach(true);
    return request;
  }

  // One of three requests that all threads send.
  v1::GenerateRequest Joined() {
    v1::GenerateRequest request = SmallRequest("good");
    request.set_request_id(absl::StrCat("joined-", Draw(3)));
    return request;
  }

  void CallUnary() {
    grpc::ClientContext context;
    SetClient(name_, context);
    v1::GenerateImagesResponse response;
    const v1::GenerateRequest request = Request("good");
    ExpectOk(stub_->GenerateImages(&context, request, &response));
    EXPECT_EQ(response.images_size(), request.image_count());
  }

  void CancelOwnCall(const v1::GenerateRequest& request) {
    OpenStream call(*stub_, request, name_);
    if (Draw(2) == 0) call.WaitFor(Kind::kQueued);
    call.Cancel();
    call.End();
  }

  void CancelByName(const std::string& id) {
    v1::GenerateRequest request = Request("good");
    request.set_request_id(id);
    OpenStream call(*stub_, request, name_);
    grpc::ClientContext context;
    SetClient(name_, context);
    v1::CancelGenerationRequest cancel;
    cancel.set_id(id);
    v1::CancelGenerationResponse response;
    stub_->CancelGeneration(&context, cancel, &response);
    call.End();
  }

  const std::unique_ptr<v1::ImageGenerationService::Stub> stub_;
  std::mt19937 random_;
  const std::string name_;
};

TEST(CallStorm, LeavesNothingBehindAndTheBooksBalanced) {
  ConfigureLogging(LogFormat::kText, LogLevel::kError);  // not a line for each call
  TestServerOptions options = {.overrides = {"results.keep_seconds=0", "operator_client_id=root"}};
  options.pipeline.prompts_without_result = {"bad"};  // a failed step would take its whole batch along
  TestServer server(options);
  std::atomic<int> next = 0;
  std::vector<std::thread> threads;
  for (unsigned seed = 1; seed <= kThreads; ++seed) {
    threads.emplace_back([&server, &next, seed] {
      StormThread storm(server, seed);
      for (int number = next++; number < kCalls; number = next++) storm.Call(number);
    });
  }
  for (std::thread& thread : threads) thread.join();

  // Detached work still runs, and the last cancellations are on their way.
  server.WaitForMetric("kandinsky_inflight_calls 0");
  server.WaitForMetric("kandinsky_inflight_requests 0");
  server.WaitForMetric("kandinsky_inflight_generations 0");
  server.WaitForMetric("kandinsky_inflight_bytes 0");
  grpc::ClientContext context;
  SetClient("root", context);
  v1::ListGenerationsResponse list;
  ASSERT_TRUE(server.stub().ListGenerations(&context, {}, &list).ok());
  EXPECT_EQ(list.generations_size(), 0);
  EXPECT_EQ(server.server().Snapshot().kept_results, 0);
  EXPECT_EQ(server.log().live_generations(), 0);
  const EngineSnapshot engine = server.server().Snapshot().engine;
  EXPECT_EQ(engine.queued_requests, 0u);
  EXPECT_GT(engine.accepted_total, kCalls / 2);
  EXPECT_EQ(engine.accepted_total, engine.completed_total + engine.cancelled_queued_total +
                                       engine.cancelled_running_total + engine.expired_queued_total +
                                       engine.expired_running_total + engine.shed_total +
                                       engine.failed_total);
}

}  // namespace
}  // namespace kandinsky::server
