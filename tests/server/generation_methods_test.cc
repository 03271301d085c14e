#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <tuple>

#include "tests/server/test_server.h"

namespace kandinsky::server {
namespace {

using testing::ElementsAre;
using testing::IsEmpty;
using Kind = v1::GenerateEvent::EventCase;

v1::GenerateRequest RequestWithId(const std::string& id, const std::string& prompt = "a red cat") {
  v1::GenerateRequest request = SmallRequest(prompt);
  request.set_request_id(id);
  return request;
}

grpc::Status Cancel(TestServer& server, const std::string& id, const std::string& client = "") {
  grpc::ClientContext context;
  SetClient(client, context);
  v1::CancelGenerationRequest request;
  request.set_id(id);
  v1::CancelGenerationResponse response;
  return server.stub().CancelGeneration(&context, request, &response);
}

grpc::Status List(TestServer& server, const v1::ListGenerationsRequest& request,
                  v1::ListGenerationsResponse* response, const std::string& client = "alice") {
  grpc::ClientContext context;
  SetClient(client, context);
  return server.stub().ListGenerations(&context, request, response);
}

std::vector<std::string> IdsOf(const v1::ListGenerationsResponse& response) {
  std::vector<std::string> ids;
  for (const v1::Generation& generation : response.generations()) ids.push_back(generation.request_id());
  return ids;
}

std::string WrongField(const grpc::Status& status) {
  EXPECT_EQ(status.error_code(), grpc::StatusCode::INVALID_ARGUMENT);
  return Detail<google::rpc::BadRequest>(status).field_violations(0).field();
}

TEST(GetGeneration, TellsWhereWaitingAndRunningRequestsStand) {
  TestServer server({.overrides = {"engine.max_active_generations=1"}, .gated = true});
  v1::GenerateRequest request = RequestWithId("runs");
  request.set_priority(v1::PRIORITY_HIGH);
  OpenStream running(server.stub(), request);
  server.gate().Allow(1);
  running.WaitFor(Kind::kProgress);
  server.gate().WaitForArrivals(2);
  OpenStream waiting(server.stub(), RequestWithId("waits"));
  waiting.WaitFor(Kind::kQueued);

  const v1::Generation runs = server.Get("runs");
  EXPECT_EQ(runs.state(), v1::GENERATION_STATE_RUNNING);
  EXPECT_EQ(runs.priority(), v1::PRIORITY_HIGH);
  EXPECT_EQ(runs.image_count(), 1);
  EXPECT_EQ(runs.finished_images(), 0);
  EXPECT_TRUE(runs.has_create_time());
  EXPECT_FALSE(runs.has_end_time());
  EXPECT_EQ(runs.progress().stage(), v1::STAGE_ENCODE);
  EXPECT_EQ(runs.progress().step(), 1);
  EXPECT_FALSE(runs.has_queued());
  EXPECT_THAT(runs.summary().seeds(), ElementsAre(7));

  const v1::Generation waits = server.Get("waits");
  EXPECT_EQ(waits.state(), v1::GENERATION_STATE_QUEUED);
  EXPECT_EQ(waits.priority(), v1::PRIORITY_NORMAL);
  EXPECT_TRUE(waits.has_queued());
  EXPECT_EQ(waits.queued().request_id(), "waits");
  server.gate().Open();
  EXPECT_TRUE(running.End().status.ok());
  EXPECT_TRUE(waiting.End().status.ok());
}

TEST(GetGeneration, TellsTheEndOfAKeptRequestAndItsImagesIfAsked) {
  TestServer server;
  const StreamOutcome outcome = Stream(server, RequestWithId("a"));
  const v1::Generation without = server.Get("a");
  EXPECT_EQ(without.state(), v1::GENERATION_STATE_SUCCEEDED);
  EXPECT_EQ(without.finished_images(), 1);
  EXPECT_EQ(without.expire_time().seconds() - without.end_time().seconds(), 300);
  EXPECT_TRUE(without.summary().has_timings());
  EXPECT_FALSE(without.has_error());
  EXPECT_EQ(without.images_size(), 0);
  const v1::Generation with = server.Get("a", "", /*include_images=*/true);
  ASSERT_EQ(with.images_size(), 1);
  EXPECT_EQ(with.images(0).data(), outcome.ImageData());
}

TEST(GetGeneration, RefusesImagesThatDoNotFitIntoOneReply) {
  TestServerOptions options = {.overrides = {"limits.max_unary_reply_bytes=4096"}};
  options.pipeline.image_edge = 0;
  TestServer server(options);
  v1::GenerateRequest request = RequestWithId("a");
  request.mutable_output()->set_format(v1::OUTPUT_FORMAT_RAW_RGB);
  ASSERT_TRUE(Stream(server, request).status.ok());
  grpc::ClientContext context;
  v1::GetGenerationRequest get;
  get.set_id("a");
  get.set_include_images(true);
  v1::Generation generation;
  EXPECT_EQ(WrongField(server.stub().GetGeneration(&context, get, &generation)), "include_images");
}

TEST(GetGeneration, TellsTheErrorOfAFailedDetachedRequest) {
  TestServerOptions options;
  options.pipeline.prompts_without_result = {"bad"};
  TestServer server(options);
  v1::GenerateRequest request = RequestWithId("a", "bad");
  request.set_detach(true);
  EXPECT_FALSE(Stream(server, request).status.ok());
  const v1::Generation generation = server.Get("a");
  EXPECT_EQ(generation.state(), v1::GENERATION_STATE_FAILED);
  EXPECT_EQ(generation.error().code(), static_cast<int>(grpc::StatusCode::INTERNAL));
  EXPECT_EQ(generation.error().reason(), "INTERNAL");
  EXPECT_EQ(generation.error().message(), "internal error");
}

TEST(CancelGeneration, EndsARequestOfItsClientOnly) {
  TestServer server({.gated = true});
  OpenStream call(server.stub(), RequestWithId("a"), "alice");
  server.gate().WaitForArrivals(1);
  EXPECT_EQ(Cancel(server, "a").error_code(), grpc::StatusCode::NOT_FOUND);
  EXPECT_EQ(Cancel(server, "a", "bob").error_code(), grpc::StatusCode::NOT_FOUND);
  EXPECT_TRUE(Cancel(server, "a", "alice").ok());
  EXPECT_EQ(call.End().status.error_code(), grpc::StatusCode::CANCELLED);
  server.gate().Open();
}

TEST(GetGeneration, FindsARequestOfItsClientOnly) {
  TestServer server;
  ASSERT_TRUE(Stream(server, RequestWithId("a"), "alice").status.ok());
  EXPECT_EQ(server.Get("a", "alice", /*include_images=*/true).images_size(), 1);
  EXPECT_EQ(server.Get("a").request_id(), "");
  EXPECT_EQ(server.Get("a", "bob", /*include_images=*/true).images_size(), 0);
}

TEST(CancelGeneration, EndsADetachedRequestWhichIsThenKeptAsCancelled) {
  TestServer server({.gated = true});
  v1::GenerateRequest request = RequestWithId("a");
  request.set_detach(true);
  OpenStream call(server.stub(), request);
  server.gate().WaitForArrivals(1);
  EXPECT_TRUE(Cancel(server, "a").ok());
  server.WaitForState("a", v1::GENERATION_STATE_CANCELLED);
  EXPECT_EQ(server.Get("a").error().reason(), "CANCELLED_BY_CLIENT");
  server.gate().Open();
  EXPECT_EQ(call.End().status.error_code(), grpc::StatusCode::CANCELLED);
}

TEST(CancelGeneration, DoesNotFindWhatHasEnded) {
  TestServer server;
  ASSERT_TRUE(Stream(server, RequestWithId("a")).status.ok());
  EXPECT_EQ(Cancel(server, "a").error_code(), grpc::StatusCode::NOT_FOUND);
  EXPECT_EQ(server.Get("a").state(), v1::GENERATION_STATE_SUCCEEDED);
}

TEST(ListGenerations, GoesThroughAllPagesByArrivalWhateverComesMeanwhile) {
  TestServer server;
  for (const char* id : {"c", "a", "b"}) ASSERT_TRUE(Stream(server, RequestWithId(id), "alice").status.ok());
  v1::ListGenerationsRequest request;
  request.set_page_size(2);
  v1::ListGenerationsResponse page;
  ASSERT_TRUE(List(server, request, &page).ok());
  EXPECT_THAT(IdsOf(page), ElementsAre("c", "a"));
  EXPECT_EQ(page.generations(0).images_size(), 0);
  ASSERT_TRUE(Stream(server, RequestWithId("d"), "alice").status.ok());
  request.set_page_token(page.next_page_token());
  ASSERT_TRUE(List(server, request, &page).ok());
  EXPECT_THAT(IdsOf(page), ElementsAre("b", "d"));
  EXPECT_EQ(page.next_page_token(), "");
}

TEST(ListGenerations, ShowsClientsTheirOwnRequestsOnly) {
  TestServer server;
  ASSERT_TRUE(Stream(server, RequestWithId("a"), "alice").status.ok());
  ASSERT_TRUE(Stream(server, RequestWithId("n")).status.ok());
  for (const auto& [lister, client, ids] : {std::tuple{"alice", "", std::vector<std::string>{"a"}},
                                            std::tuple{"alice", "alice", std::vector<std::string>{"a"}},
                                            std::tuple{"bob", "", std::vector<std::string>{}}}) {
    v1::ListGenerationsRequest request;
    request.set_client_id(client);
    v1::ListGenerationsResponse response;
    ASSERT_TRUE(List(server, request, &response, lister).ok());
    EXPECT_EQ(IdsOf(response), ids) << lister;
  }
  v1::ListGenerationsRequest others;
  others.set_client_id("alice");
  v1::ListGenerationsResponse response;
  EXPECT_EQ(WrongField(List(server, others, &response, "bob")), "client_id");
}

TEST(ListGenerations, IsRefusedWithoutANameWhichWouldShowWhatAllNamelessClientsDo) {
  TestServer server({.overrides = {"operator_client_id="}});
  ASSERT_TRUE(Stream(server, RequestWithId("n")).status.ok());
  v1::ListGenerationsResponse response;
  EXPECT_EQ(WrongField(List(server, {}, &response, "")), "x-client-id");
  EXPECT_EQ(response.generations_size(), 0);
}

TEST(ListGenerations, GivesAPageTokenToItsClientAlone) {
  TestServer server;
  for (const char* id : {"a", "b"}) ASSERT_TRUE(Stream(server, RequestWithId(id), "alice").status.ok());
  v1::ListGenerationsRequest request;
  request.set_page_size(1);
  v1::ListGenerationsResponse response;
  ASSERT_TRUE(List(server, request, &response, "alice").ok());
  request.set_page_token(response.next_page_token());
  EXPECT_EQ(WrongField(List(server, request, &response, "bob")), "page_token");
}

TEST(ListGenerations, ShowsTheOperatorAllClientsOrOneAndAllStatesOrOne) {
  TestServer server({.overrides = {"operator_client_id=root"}});
  ASSERT_TRUE(Stream(server, RequestWithId("a"), "alice").status.ok());
  ASSERT_TRUE(Stream(server, RequestWithId("b"), "bob").status.ok());
  for (const auto& [client, state, ids] :
       {std::tuple{"", v1::GENERATION_STATE_UNSPECIFIED, std::vector<std::string>{"a", "b"}},
        std::tuple{"bob", v1::GENERATION_STATE_UNSPECIFIED, std::vector<std::string>{"b"}},
        std::tuple{"", v1::GENERATION_STATE_RUNNING, std::vector<std::string>{}}}) {
    v1::ListGenerationsRequest request;
    request.set_client_id(client);
    request.set_state(state);
    v1::ListGenerationsResponse response;
    ASSERT_TRUE(List(server, request, &response, "root").ok());
    EXPECT_EQ(IdsOf(response), ids);
  }
}

TEST(ListGenerations, RefusesWrongPagesAndNamesThem) {
  TestServer server;
  for (const char* id : {"a", "b"}) ASSERT_TRUE(Stream(server, RequestWithId(id), "alice").status.ok());
  v1::ListGenerationsResponse response;
  v1::ListGenerationsRequest request;
  for (const int size : {0, -1, 1001}) {
    request.set_page_size(size);
    EXPECT_EQ(WrongField(List(server, request, &response)), "page_size");
  }
  request.set_page_size(1);
  for (const char* token : {"x", "00000000000000010000000000000000", "0000000000000001"}) {
    request.set_page_token(token);
    EXPECT_EQ(WrongField(List(server, request, &response)), "page_token");
  }
  request.clear_page_token();
  ASSERT_TRUE(List(server, request, &response).ok());
  request.set_page_token(response.next_page_token());
  request.set_state(v1::GENERATION_STATE_SUCCEEDED);  // a token of another request
  EXPECT_EQ(WrongField(List(server, request, &response)), "page_token");
  request.Clear();
  request.set_state(static_cast<v1::GenerationState>(77));
  EXPECT_EQ(WrongField(List(server, request, &response)), "state");
  request.Clear();
  request.set_client_id("a b");
  EXPECT_EQ(WrongField(List(server, request, &response)), "client_id");
}

TEST(ClientId, MustBeAValidNameInEveryMethod) {
  TestServer server;
  const std::string bad = "not a name";
  EXPECT_EQ(WrongField(Stream(server, SmallRequest(), bad).status), "x-client-id");
  EXPECT_EQ(WrongField(Cancel(server, "a", bad)), "x-client-id");
  grpc::ClientContext get_context;
  SetClient(bad, get_context);
  v1::GetGenerationRequest get;
  get.set_id("a");
  v1::Generation generation;
  EXPECT_EQ(WrongField(server.stub().GetGeneration(&get_context, get, &generation)), "x-client-id");
  grpc::ClientContext list_context;
  SetClient(bad, list_context);
  v1::ListGenerationsResponse list;
  EXPECT_EQ(WrongField(server.stub().ListGenerations(&list_context, {}, &list)), "x-client-id");
  grpc::ClientContext unary_context;
  SetClient("a", unary_context);
  SetClient("b", unary_context);  // one call cannot be of two clients
  v1::GenerateImagesResponse images;
  EXPECT_EQ(WrongField(server.stub().GenerateImages(&unary_context, SmallRequest(), &images)), "x-client-id");
}

}  // namespace
}  // namespace kandinsky::server
