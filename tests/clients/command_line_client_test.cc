#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <csignal>
#include <filesystem>
#include <nlohmann/json.hpp>

#include "absl/strings/str_cat.h"
#include "base/mapped_file.h"
#include "clients/cpp/command_output.h"
#include "imaging/encoded_image.h"
#include "server/config.h"
#include "tests/clients/child_process.h"
#include "tests/server/test_server.h"

namespace kandinsky::client {
namespace {

namespace fs = std::filesystem;

using server::TestServer;
using server::TestServerOptions;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::Not;
using ::testing::StartsWith;

class CommandLineClientTest : public testing::Test {
 protected:
  CommandLineClientTest() {
    std::string pattern = (fs::path(testing::TempDir()) / "client_XXXXXX").string();
    folder_ = ::mkdtemp(pattern.data());
  }
  ~CommandLineClientTest() override { fs::remove_all(folder_); }

  void StartServer(TestServerOptions options = {}) {
    server_ = std::make_unique<TestServer>(std::move(options));
  }

  std::string Path(const std::string& name) const { return folder_ + "/" + name; }

  // Runs `kandinsky generate a red cat` with few steps and `flags`.
  std::unique_ptr<ChildProcess> Start(const std::vector<std::string>& flags,
                                      const std::string& output = "cat.png") const {
    std::vector<std::string> arguments = {KANDINSKY_PROGRAM, "generate", "a", "red", "cat"};
    arguments.insert(arguments.end(), {"--steps", "2", "--prior-steps", "2", "--output", Path(output)});
    if (server_ != nullptr) arguments.insert(arguments.end(), {"--server", server_->address()});
    arguments.insert(arguments.end(), flags.begin(), flags.end());
    return std::make_unique<ChildProcess>(arguments, folder_);
  }

  // The pixels of a PNG that was written.
  std::vector<uint8_t> Pixels(const std::string& name) const {
    const absl::StatusOr<std::string> file = ReadFile(Path(name), 1 << 20);
    EXPECT_TRUE(file.ok()) << file.status();
    if (!file.ok()) return {};
    return DecodeImage(*file)->pixels;
  }

  std::string folder_;
  std::unique_ptr<TestServer> server_;
};

TEST_F(CommandLineClientTest, WritesTheImageAndSaysSo) {
  StartServer();
  const auto program = Start({"--seed", "7"});
  EXPECT_EQ(program->Wait(), 0) << program->ErrorOutput();
  EXPECT_EQ(Pixels("cat.png"), FakePipeline::ExpectedImage(7, 8, 8).pixels);
  EXPECT_THAT(program->Output(), StartsWith(Path("cat.png") + " "));
  EXPECT_THAT(program->Output(), HasSubstr("seed 7"));
  EXPECT_EQ(server_->log().StepsOf("a red cat"), 6);
}

TEST_F(CommandLineClientTest, SendsEveryFlag) {
  StartServer();
  const auto program =
      Start({"--negative-prompt", "dog", "--width", "128", "--height", "64", "--guidance-scale", "1",
             "--prior-guidance-scale", "2.5", "--sampler", "ddim", "--count", "2", "--timeout", "60"});
  ASSERT_EQ(program->Wait(), 0) << program->ErrorOutput();
  bool denoised = false;
  for (const FakeStep& step : server_->log().steps()) {
    EXPECT_EQ(step.members.size(), 2u);
    if (step.key.stage != Stage::kDenoise) continue;
    denoised = true;
    EXPECT_EQ(step.key.latent_width, 16);
    EXPECT_EQ(step.key.latent_height, 8);
    EXPECT_FALSE(step.key.guided);
  }
  EXPECT_TRUE(denoised);
  for (const GenerationRequest& request : server_->log().requests()) {
    EXPECT_EQ(request.prior_guidance_scale, 2.5f);
  }
}

TEST_F(CommandLineClientTest, SeveralImagesGetNumbers) {
  StartServer();
  const auto program = Start({"--seed", "7", "--count", "3"});
  EXPECT_EQ(program->Wait(), 0) << program->ErrorOutput();
  for (int i = 0; i < 3; ++i) {
    EXPECT_EQ(Pixels("cat-" + std::to_string(i) + ".png"),
              FakePipeline::ExpectedImage(7 + static_cast<uint64_t>(i), 8, 8).pixels);
  }
  EXPECT_FALSE(fs::exists(Path("cat.png")));
}

TEST_F(CommandLineClientTest, JsonDescribesTheResult) {
  StartServer();
  const auto program = Start({"--json", "--seed", "18446744073709551615", "--count", "2"});
  ASSERT_EQ(program->Wait(), 0) << program->ErrorOutput();
  const nlohmann::json json = nlohmann::json::parse(program->Output());
  ASSERT_EQ(json["images"].size(), 2u);
  EXPECT_EQ(json["images"][0]["seed"], "18446744073709551615");
  EXPECT_EQ(json["images"][1]["seed"], "0");
  EXPECT_EQ(json["images"][1]["file"], Path("cat-1.png"));
  EXPECT_FALSE(json["request_id"].get<std::string>().empty());
  EXPECT_TRUE(json["seconds"].is_number());
}

TEST_F(CommandLineClientTest, ShowsPlainLinesWhenStandardErrorIsNoTerminal) {
  StartServer();
  const auto program = Start({});
  EXPECT_EQ(program->Wait(), 0);
  EXPECT_THAT(program->ErrorOutput(), HasSubstr("started by worker-0 on cpu\n"));
  EXPECT_THAT(program->ErrorOutput(), Not(HasSubstr("\x1b")));
}

TEST_F(CommandLineClientTest, ABadRequestIsOneLineThatNamesFieldAndRule) {
  StartServer();
  const auto program = Start({"--width", "65"});
  EXPECT_EQ(program->Wait(), kExitError);
  const std::string error = program->ErrorOutput();
  EXPECT_THAT(error, StartsWith("kandinsky: INVALID_ARGUMENT: "));
  EXPECT_THAT(error, HasSubstr("width: "));
  EXPECT_THAT(error, HasSubstr("64"));
  EXPECT_EQ(std::count(error.begin(), error.end(), '\n'), 1);
  EXPECT_THAT(program->Output(), IsEmpty());
  EXPECT_FALSE(fs::exists(Path("cat.png")));
}

TEST_F(CommandLineClientTest, TheServerSaysWhatItsModelAndOperatorAllow) {
  StartServer();
  const v1::LimitsConfig limits = server::WithDefaults(v1::ServerConfig()).limits();
  const std::vector<std::pair<std::vector<std::string>, std::string>> wrong = {
      {{"--width", "32"}, absl::StrCat("width: must be a multiple of 64 from 64 to ", limits.max_size())},
      {{"--height", "8192"}, absl::StrCat("height: must be a multiple of 64 from 64 to ", limits.max_size())},
      {{"--steps", "100000"}, absl::StrCat("steps: must be 1 to ", limits.max_steps())},
      {{"--prior-steps", "1"}, absl::StrCat("prior_steps: must be 2 to ", limits.max_prior_steps())},
      {{"--count", "2147483647"}, absl::StrCat("image_count: must be 1 to ", limits.max_images())},
      {{"--guidance-scale", "-1"}, "guidance_scale: must be a finite number from 0 to 100"}};
  for (const auto& [flags, rule] : wrong) {
    const auto program = Start(flags);
    EXPECT_EQ(program->Wait(), kExitError);
    const std::string error = program->ErrorOutput();
    EXPECT_THAT(error, HasSubstr(rule));
    EXPECT_EQ(std::count(error.begin(), error.end(), '\n'), 1) << error;
  }
}

TEST_F(CommandLineClientTest, WhatTheOperatorAllowsIsNotRefusedByTheClient) {
  StartServer({.overrides = {"limits.max_size=4096", "limits.max_megapixel_steps=1000"}});
  const auto program = Start({"--width", "4096", "--height", "64"});
  EXPECT_EQ(program->Wait(), 0) << program->ErrorOutput();
}

TEST_F(CommandLineClientTest, JsonDescribesTheError) {
  StartServer();
  const auto program = Start({"--json", "--width", "65"});
  EXPECT_EQ(program->Wait(), kExitError);
  const nlohmann::json error = nlohmann::json::parse(program->Output())["error"];
  EXPECT_EQ(error["code"], "INVALID_ARGUMENT");
  EXPECT_EQ(error["reason"], "INVALID_REQUEST");
  EXPECT_EQ(error["violations"][0]["field"], "width");
}

TEST_F(CommandLineClientTest, CtrlCCancelsTheRequest) {
  TestServerOptions options;
  options.gated = true;
  StartServer(std::move(options));
  const auto program = Start({});
  server_->gate().WaitForArrivals(1);
  program->Signal(SIGINT);
  EXPECT_EQ(program->Wait(), kExitInterrupted);
  EXPECT_THAT(program->ErrorOutput(), HasSubstr("kandinsky: CANCELLED: "));
  // The server gives it up while its step still runs.
  server_->WaitForMetric("kandinsky_inflight_requests 0");
}

TEST_F(CommandLineClientTest, AMissingOutputFolderIsFoundBeforeTheServerWorks) {
  StartServer();
  const auto program = Start({}, "missing/cat.png");
  EXPECT_EQ(program->Wait(), kExitError);
  EXPECT_THAT(program->ErrorOutput(), HasSubstr("missing"));
  EXPECT_EQ(server_->log().admitted(), 0);
}

TEST_F(CommandLineClientTest, AServerThatIsNotThereIsAnError) {
  const auto program = Start({"--server", "127.0.0.1:1"});
  EXPECT_EQ(program->Wait(), kExitError);
  EXPECT_THAT(program->ErrorOutput(), StartsWith("kandinsky: UNAVAILABLE: "));
}

TEST_F(CommandLineClientTest, WrongUsageHasItsOwnExitCode) {
  const std::vector<std::vector<std::string>> wrong = {
      {"--no-such-flag"}, {"--sampler", "heun"}, {"--width", "many"}, {"--seed", "-1"}, {"--timeout", "0"}};
  for (const std::vector<std::string>& flags : wrong) {
    const auto program = Start(flags);
    EXPECT_EQ(program->Wait(), kExitUsage) << flags[0];
    EXPECT_THAT(program->ErrorOutput(), HasSubstr(flags[0].substr(2)));
  }
}

}  // namespace
}  // namespace kandinsky::client
