#include <gmock/gmock.h>
#include <google/rpc/error_details.pb.h>
#include <google/rpc/status.pb.h>
#include <gtest/gtest.h>

#include <csignal>
#include <map>
#include <nlohmann/json.hpp>

#include "tests/clients/program_test.h"

namespace kandinsky {
namespace {

using ::testing::HasSubstr;

TEST_F(ProgramTest, GenerateSendsHowTheRequestIsToBeServed) {
  Serve({.events = {Completed()}});
  const auto program = Start({"generate", "cat", "--priority", "high", "--client-id", "studio",
                              "--request-id", "cat-1", "--detach", "--preview", Path("preview.png"),
                              "--preview-every", "3", "--output", Path("cat.png")});
  ASSERT_EQ(program->Wait(), 0) << program->ErrorOutput();
  const ReceivedCalls received = server_->received();
  EXPECT_EQ(received.client_id, "studio");
  EXPECT_EQ(received.generate.priority(), v1::PRIORITY_HIGH);
  EXPECT_EQ(received.generate.request_id(), "cat-1");
  EXPECT_TRUE(received.generate.detach());
  EXPECT_EQ(received.generate.preview().every_steps(), 3);
}

TEST_F(ProgramTest, GenerateLeavesUnsetWhatWasNotGiven) {
  Serve({.events = {Completed()}});
  const auto program = Start({"generate", "cat", "--output", Path("cat.png")});
  ASSERT_EQ(program->Wait(), 0) << program->ErrorOutput();
  v1::GenerateRequest expected;
  expected.set_prompt("cat");
  expected.mutable_output()->set_format(v1::OUTPUT_FORMAT_PNG);
  EXPECT_EQ(server_->received().generate.SerializeAsString(), expected.SerializeAsString());
  EXPECT_EQ(server_->received().client_id, "");
}

TEST_F(ProgramTest, GenerateKeepsTheNewestPreviewOfEachImage) {
  Serve({.events = {Preview(0, 5, "first"), Preview(1, 5, "other"), Preview(0, 10, "second"), Completed()}});
  const auto program = Start({"generate", "cat", "--count", "2", "--preview", Path("preview.png"), "--output",
                              Path("cat.png"), "--json"});
  ASSERT_EQ(program->Wait(), 0) << program->ErrorOutput();
  EXPECT_EQ(Read("preview-0.png"), "second");
  EXPECT_EQ(Read("preview-1.png"), "other");
  EXPECT_EQ(server_->received().generate.preview().every_steps(), 5);
  EXPECT_EQ(nlohmann::json::parse(program->Output())["mean_batch_rows"], 2.5);
}

TEST_F(ProgramTest, GenerateFindsAMissingPreviewFolderBeforeItCalls) {
  Serve({.events = {Completed()}});
  const auto program =
      Start({"generate", "cat", "--preview", Path("missing/p.png"), "--output", Path("cat.png")});
  EXPECT_EQ(program->Wait(), kExitError);
  EXPECT_THAT(program->ErrorOutput(), HasSubstr("missing"));
  EXPECT_EQ(server_->received().generate.prompt(), "");
}

TEST_F(ProgramTest, CtrlCOfADetachedRequestSaysHowToCollectIt) {
  Serve({.events = {Progress()}, .repeat = true});
  const auto program =
      Start({"generate", "cat", "--request-id", "cat-1", "--detach", "--output", Path("cat.png")});
  server_->WaitForCall();
  program->Signal(SIGINT);
  EXPECT_EQ(program->Wait(), kExitInterrupted);
  EXPECT_THAT(program->ErrorOutput(), HasSubstr("the server goes on with it; `kandinsky get cat-1`"));
}

TEST_F(ProgramTest, ARefusalSaysWhenToComeBackAndIsNotTriedAgain) {
  google::rpc::RetryInfo retry;
  retry.mutable_retry_delay()->set_seconds(7);
  for (const auto code : {grpc::StatusCode::RESOURCE_EXHAUSTED, grpc::StatusCode::UNAVAILABLE}) {
    google::rpc::Status details;
    details.set_code(code);
    details.add_details()->PackFrom(retry);
    Serve({.status = grpc::Status(code, "not now", details.SerializeAsString())});
    const auto program = Start({"generate", "cat", "--output", Path("cat.png"), "--json"});
    EXPECT_EQ(program->Wait(), kExitError);
    EXPECT_THAT(program->ErrorOutput(), HasSubstr("not now (retry in 7s)"));
    EXPECT_EQ(nlohmann::json::parse(program->Output())["error"]["retry_after_seconds"], 7);
    EXPECT_EQ(server_->calls(), 1);
  }
}

TEST_F(ProgramTest, GetListAndCancelReachTheServer) {
  v1::Generation generation;
  generation.set_request_id("cat-1");
  generation.set_state(v1::GENERATION_STATE_SUCCEEDED);
  Serve({.generations = {generation}});
  const auto get = Start({"get", "cat-1", "--client-id", "studio"});
  ASSERT_EQ(get->Wait(), 0) << get->ErrorOutput();
  EXPECT_THAT(get->Output(), HasSubstr("state      succeeded\n"));
  EXPECT_EQ(server_->received().client_id, "studio");
  const auto list =
      Start({"list", "--of-client", "studio", "--state", "failed", "--limit", "5", "--timeout", "60"});
  ASSERT_EQ(list->Wait(), 0) << list->ErrorOutput();
  EXPECT_THAT(list->Output(), HasSubstr("REQUEST"));
  EXPECT_EQ(server_->received().lists.at(0).client_id(), "studio");
  EXPECT_EQ(server_->received().lists.at(0).state(), v1::GENERATION_STATE_FAILED);
  const auto cancel = Start({"cancel", "cat-1", "--json"});
  ASSERT_EQ(cancel->Wait(), 0) << cancel->ErrorOutput();
  EXPECT_EQ(nlohmann::json::parse(cancel->Output())["request_id"], "cat-1");
}

TEST_F(ProgramTest, WrongUsageHasItsOwnExitCode) {
  const std::vector<std::vector<std::string>> wrong = {{"generate", "cat", "--priority", "urgent"},
                                                       {"generate", "cat", "--detach"},
                                                       {"generate", "cat", "--preview-every", "2"},
                                                       {"get"},
                                                       {"list", "--state", "asleep"},
                                                       {"list", "--limit", "0"},
                                                       {"cancel"},
                                                       {}};
  for (const std::vector<std::string>& arguments : wrong) {
    EXPECT_EQ(Start(arguments)->Wait(), kExitUsage) << testing::PrintToString(arguments);
  }
}

TEST_F(ProgramTest, HelpNamesEveryFlag) {
  const std::map<std::string, std::vector<std::string>> flags = {
      {"generate", {"--server",      "--negative-prompt",
                    "--width",       "--height",
                    "--steps",       "--guidance-scale",
                    "--prior-steps", "--prior-guidance-scale",
                    "--seed",        "--count",
                    "--sampler",     "--output",
                    "--timeout",     "--json",
                    "--priority",    "--client-id",
                    "--request-id",  "--detach",
                    "--preview",     "--preview-every"}},
      {"get", {"--server", "--client-id", "--timeout", "--json", "--output"}},
      {"list", {"--server", "--client-id", "--timeout", "--json", "--of-client", "--state", "--limit"}},
      {"cancel", {"--server", "--client-id", "--timeout", "--json"}}};
  for (const auto& [command, names] : flags) {
    const auto program = Start({command, "--help"});
    EXPECT_EQ(program->Wait(), 0);
    for (const std::string& name : names) EXPECT_THAT(program->Output(), HasSubstr(name));
  }
}

}  // namespace
}  // namespace kandinsky
