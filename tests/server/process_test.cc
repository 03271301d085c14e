#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <signal.h>

#include <memory>
#include <nlohmann/json.hpp>
#include <sstream>
#include <string>
#include <vector>

#include "tests/server/server_process.h"

namespace kandinsky::server {
namespace {

using testing::HasSubstr;

class StopSignal : public testing::TestWithParam<int> {};

TEST_P(StopSignal, DrainsAndExitsWithZero) {
  ServerProcess server({});
  ASSERT_NE(server.WaitForLine("\"msg\":\"ready\""), "");
  server.Signal(GetParam());
  EXPECT_EQ(server.WaitForExit(), 0);
  EXPECT_THAT(server.output(), HasSubstr("\"msg\":\"stopped\",\"cancelled\":0"));
}

INSTANTIATE_TEST_SUITE_P(Both, StopSignal, testing::Values(SIGTERM, SIGINT));

TEST(Process, LogsItsRealPorts) {
  ServerProcess server({"metrics_address=127.0.0.1:0"});
  const std::string line = server.WaitForLine("\"msg\":\"listening\"");
  EXPECT_GT(NumberIn(line, "port"), 0);
  EXPECT_GT(NumberIn(line, "metrics_port"), 0);
}

TEST(Process, LogsOneJsonLinePerRequestWithoutThePrompt) {
  ServerProcess server({});
  const int port = NumberIn(server.WaitForLine("\"msg\":\"ready\""), "port");
  const auto stub = StubOf(port);
  v1::GenerateRequest request;
  request.set_prompt("SECRET_PROMPT");
  request.set_negative_prompt("SECRET_PROMPT");
  request.set_request_id("id-1");
  grpc::ClientContext context;
  v1::GenerateImagesResponse response;
  ASSERT_TRUE(stub->GenerateImages(&context, request, &response).ok());
  request.set_width(1);
  grpc::ClientContext bad_context;
  ASSERT_FALSE(stub->GenerateImages(&bad_context, request, &response).ok());
  server.Signal(SIGTERM);
  EXPECT_EQ(server.WaitForExit(), 0);
  std::vector<nlohmann::json> requests;
  std::istringstream lines(server.output());
  for (std::string text; std::getline(lines, text);) {
    const auto line = nlohmann::json::parse(text);
    if (line["msg"] == "request") requests.push_back(line);
  }
  ASSERT_EQ(requests.size(), 2u);
  EXPECT_EQ(requests[0]["method"], "GenerateImages");
  EXPECT_EQ(requests[0]["code"], "OK");
  EXPECT_EQ(requests[0]["request_id"], "id-1");
  EXPECT_EQ(requests[0]["size"], "512x512");
  EXPECT_EQ(requests[0]["steps"], 50);
  EXPECT_EQ(requests[0]["images"], 1);
  EXPECT_GT(requests[0]["duration_ms"], 0.0);
  EXPECT_GE(requests[0]["queue_ms"], 0.0);
  EXPECT_EQ(requests[1]["code"], "INVALID_ARGUMENT");
  EXPECT_EQ(requests[1]["reason"], "INVALID_REQUEST");
  EXPECT_EQ(server.output().find("SECRET"), std::string::npos);
}

TEST(Process, ExitsWithZeroWhenStoppedWhileLoading) {
  ServerProcess server({"model.path=endless"});
  ASSERT_NE(server.WaitForLine("\"msg\":\"listening\""), "");
  server.Signal(SIGTERM);
  EXPECT_EQ(server.WaitForExit(), 0);
}

TEST(Process, DoesNotWaitForAStepThatOutlastsItsDrain) {
  ServerProcess server({"model.path=stuck", "drain.finish_seconds=0.05"});
  const int port = NumberIn(server.WaitForLine("\"msg\":\"ready\""), "port");
  const auto stub = StubOf(port);
  v1::GenerateRequest request;
  request.set_prompt("a red cat");
  grpc::ClientContext context;
  const auto reader = stub->Generate(&context, request);
  v1::GenerateEvent event;
  while (!event.has_started() && reader->Read(&event)) {
  }
  server.Signal(SIGTERM);
  while (reader->Read(&event)) {
  }
  EXPECT_EQ(reader->Finish().error_code(), grpc::StatusCode::CANCELLED);
  EXPECT_EQ(server.WaitForExit(), 0);
  EXPECT_THAT(server.output(), HasSubstr("\"msg\":\"stopped\",\"cancelled\":1"));
}

TEST(Process, EndsAtOnceAtTheSecondSignal) {
  ServerProcess server({"drain.lame_duck_seconds=3600"});
  ASSERT_NE(server.WaitForLine("\"msg\":\"ready\""), "");
  server.Signal(SIGTERM);
  ASSERT_NE(server.WaitForLine("\"msg\":\"draining\""), "");
  server.Signal(SIGTERM);
  EXPECT_EQ(server.WaitForExit(), 1);
}

TEST(Process, SaysInOneLineThatItsPortIsInUse) {
  ServerProcess first({});
  const int port = NumberIn(first.WaitForLine("\"msg\":\"listening\""), "port");
  ServerProcess second({"listen_address=127.0.0.1:" + std::to_string(port)});
  EXPECT_EQ(second.WaitForExit(), 3);
  EXPECT_EQ(second.output().find('\n'), second.output().size() - 1) << second.output();
  EXPECT_THAT(second.output(), HasSubstr("cannot listen on listen_address 127.0.0.1:" + std::to_string(port) +
                                         ": Address already in use"));
}

TEST(Process, TellsItsPortsAtEveryLogLevel) {
  ServerProcess server({"log.level=LOG_LEVEL_ERROR", "metrics_address=127.0.0.1:0"});
  const std::string line = server.WaitForLine("\"msg\":\"listening\"");
  EXPECT_GT(NumberIn(line, "port"), 0);
  EXPECT_GT(NumberIn(line, "metrics_port"), 0);
}

TEST(Process, SaysWhyTheModelCannotBeLoaded) {
  ServerProcess server({"model.path=missing"});
  EXPECT_EQ(server.WaitForExit(), 4);
  EXPECT_THAT(server.output(), HasSubstr("missing: no model_index.json"));
}

TEST(Process, SaysInOneLineWhatIsWrongWithItsConfiguration) {
  ServerProcess server({"workers=0"});
  EXPECT_EQ(server.WaitForExit(), 2);
  EXPECT_EQ(server.output(), "kandinsky-server: workers is 0, must be 1 to 64\n");
}

// As README.md starts them, each with a listen_address of its own and nothing else.
TEST(Process, SimulatedServersRunSideBySide) {
  const std::string shell = "exec \"$1\" --config " KANDINSKY_SOURCE_DIR
                            "/deploy/simulated.textproto --set listen_address=127.0.0.1:0";
  std::vector<std::unique_ptr<ServerProcess>> servers;
  for (int i = 0; i < 3; ++i) {
    servers.push_back(std::make_unique<ServerProcess>(std::vector<std::string>(), REAL_SERVER, shell));
  }
  for (const auto& server : servers) {
    const std::string line = server->WaitForLine("\"msg\":\"listening\"");
    EXPECT_GT(NumberIn(line, "port"), 0) << server->output();
    EXPECT_GT(NumberIn(line, "metrics_port"), 0) << server->output();
  }
}

TEST(Process, ServesASimulatedModelFromConfigurationAlone) {
  ServerProcess server({"model.kind=MODEL_KIND_SIMULATED", "model.path=", "model.devices=sim:0,sim:1",
                        "workers=2", "model.simulated.encode_ms=0", "model.simulated.denoise_ms=0"},
                       REAL_SERVER);
  const int port = NumberIn(server.WaitForLine("\"msg\":\"ready\""), "port");
  EXPECT_THAT(server.output(), HasSubstr("simulated model: images are noise"));
  const auto stub = StubOf(port);
  v1::GenerateRequest request;
  request.set_prompt("a red cat");
  request.set_width(128);
  request.set_height(64);
  request.set_image_count(2);
  grpc::ClientContext context;
  v1::GenerateImagesResponse response;
  const grpc::Status status = stub->GenerateImages(&context, request, &response);
  ASSERT_TRUE(status.ok()) << status.error_message();
  ASSERT_EQ(response.images_size(), 2);
  EXPECT_EQ(response.images(1).width(), 128);
  EXPECT_EQ(response.images(1).height(), 64);
  EXPECT_EQ(response.summary().timings().stages_size(), 4);
  server.Signal(SIGTERM);
  EXPECT_EQ(server.WaitForExit(), 0);
}

TEST(Process, CannotServeAModelThatIsNotThere) {
  ServerProcess server({"model.path=/no/such/model"}, REAL_SERVER);
  EXPECT_EQ(server.WaitForExit(), 4);
  EXPECT_THAT(server.output(), HasSubstr("\"msg\":\"model could not be loaded\""));
}

}  // namespace
}  // namespace kandinsky::server
