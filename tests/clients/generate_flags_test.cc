#include <gmock/gmock.h>
#include <google/rpc/error_details.pb.h>
#include <google/rpc/status.pb.h>
#include <gtest/gtest.h>

#include <csignal>
#include <map>
#include <nlohmann/json.hpp>

#include "tests/clients/program_test.h"

namespace kandinsky::client {
namespace {

using ::testing::AnyOf;
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
  const std::vector<std::string> call = {"--server", "--client-id", "--timeout", "--json"};
  const std::vector<std::string> prior = {"--negative-prompt", "--negative-prior-prompt",
                                          "--strict-prompt",   "--seed",
                                          "--seeds",           "--count",
                                          "--model",           "--adapter",
                                          "--prior-steps",     "--prior-guidance-scale"};
  const std::vector<std::string> start = {"--prior-image", "--prior-embedding", "--prior-strength",
                                          "--mix-text",    "--mix-image",       "--mix-embedding",
                                          "--mix-weight"};
  const std::vector<std::string> making = {"--width",
                                           "--height",
                                           "--steps",
                                           "--guidance-scale",
                                           "--sampler",
                                           "--eta",
                                           "--output",
                                           "--format",
                                           "--quality",
                                           "--preview-to",
                                           "--preview-every",
                                           "--embed-parameters",
                                           "--detach",
                                           "--request-id",
                                           "--priority",
                                           "--validate-only",
                                           "--negative-image-embedding"};
  const auto all = [](const std::vector<std::vector<std::string>>& groups) {
    std::vector<std::string> names;
    for (const std::vector<std::string>& group : groups)
      names.insert(names.end(), group.begin(), group.end());
    return names;
  };
  const std::vector<std::string> image = all({call, prior, start, making, {"--image-embedding"}});
  const std::map<std::vector<std::string>, std::vector<std::string>> flags = {
      {{"generate"}, image},
      {{"edit"}, all({image, {"--image", "--strength"}})},
      {{"inpaint"},
       all({image, {"--image", "--mask", "--mask-white-keeps", "--soft-mask", "--paste-back", "--feather"}})},
      {{"control"}, all({image, {"--depth", "--image", "--strength"}})},
      {{"embed", "text"}, all({call, {"--output", "--hidden-states", "--strict-text", "--model"}})},
      {{"embed", "image"}, all({call, {"--output", "--model"}})},
      {{"embed", "prompt"}, all({call, prior, start, {"--output"}})},
      {{"latents", "encode"}, all({call, {"--output", "--width", "--height", "--model"}})},
      {{"latents", "decode"}, all({call, {"--output", "--format", "--quality", "--model"}})},
      {{"get"}, all({call, {"--output"}})},
      {{"list"}, all({call, {"--of-client", "--state", "--limit"}})},
      {{"cancel"}, call}};
  for (const auto& [command, names] : flags) {
    std::vector<std::string> arguments = command;
    arguments.push_back("--help");
    const auto program = Run(arguments);
    for (const std::string& name : names) {
      EXPECT_THAT(program->Output(), AnyOf(HasSubstr(name + " "), HasSubstr(name + ","))) << command[0];
    }
  }
}

}  // namespace
}  // namespace kandinsky::client
