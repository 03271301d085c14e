#include "training/config/command_line.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <stdlib.h>

#include <filesystem>
#include <fstream>

#include "config/config_text.h"
#include "kandinsky/v1/training_config.pb.h"

namespace kandinsky::training {
namespace {

using testing::HasSubstr;
using testing::StartsWith;

// What a command line led to and what it printed.
struct Outcome {
  TrainingCommandLine line;
  std::string output;
  std::string errors;
};

Outcome Parse(std::vector<const char*> arguments) {
  arguments.insert(arguments.begin(), "kandinsky-train");
  testing::internal::CaptureStdout();
  testing::internal::CaptureStderr();
  Outcome outcome;
  outcome.line = ParseTrainingCommandLine(static_cast<int>(arguments.size()), arguments.data());
  outcome.output = testing::internal::GetCapturedStdout();
  outcome.errors = testing::internal::GetCapturedStderr();
  return outcome;
}

class TrainingCommandLineTest : public testing::Test {
 protected:
  TrainingCommandLineTest() {
    std::string folder = std::filesystem::temp_directory_path() / "train_XXXXXX";
    if (::mkdtemp(folder.data()) != nullptr) folder_ = folder;
    file_ = Write("a.textproto",
                  "decoder_path: 'm' prior_path: 'p' data { path: 'd' } output_folder: 'o' max_steps: 10");
  }
  ~TrainingCommandLineTest() override { std::filesystem::remove_all(folder_); }

  std::string Write(const std::string& name, const std::string& text) {
    std::ofstream(folder_ / name) << text;
    return folder_ / name;
  }

  std::filesystem::path folder_;
  std::string file_;
};

TEST_F(TrainingCommandLineTest, GivesTheOptionsOfTheFile) {
  const Outcome outcome = Parse({"--config", file_.c_str()});
  ASSERT_TRUE(outcome.line.options.has_value()) << outcome.errors;
  EXPECT_EQ(outcome.line.options->prior_path, "p");
  EXPECT_EQ(outcome.line.options->max_steps, 10);
  EXPECT_EQ(outcome.line.options->batch_size, 1);
  EXPECT_FALSE(outcome.line.estimate);
  EXPECT_EQ(outcome.line.exit_code, kTrainingExitOk);
  EXPECT_EQ(outcome.output + outcome.errors, "");
}

TEST_F(TrainingCommandLineTest, AppliesOverridesInOrderAfterTheFile) {
  const Outcome outcome = Parse(
      {"--set", "max_steps=30", "--config", file_.c_str(), "--set", "max_steps=20", "--set", "lora.rank=8"});
  ASSERT_TRUE(outcome.line.options.has_value()) << outcome.errors;
  EXPECT_EQ(outcome.line.options->max_steps, 20);
  ASSERT_TRUE(outcome.line.options->lora.has_value());
  EXPECT_EQ(outcome.line.options->lora->rank, 8);
}

TEST_F(TrainingCommandLineTest, NeedsNoFile) {
  const Outcome outcome = Parse({"--set", "decoder_path=m", "--set", "data.path=d", "--set",
                                 "output_folder=o", "--set", "max_steps=1", "--estimate"});
  ASSERT_TRUE(outcome.line.options.has_value()) << outcome.errors;
  EXPECT_TRUE(outcome.line.estimate);
}

TEST_F(TrainingCommandLineTest, PrintsTheCompleteConfigThatItChecked) {
  const Outcome outcome = Parse({"--check_config", "--config", file_.c_str(), "--set", "ema.decay=0.5"});
  EXPECT_FALSE(outcome.line.options.has_value());
  EXPECT_EQ(outcome.line.exit_code, kTrainingExitOk);
  v1::TrainingConfig config;
  ASSERT_EQ(ParseMessage(outcome.output, ConfigFormat::kTextProto, config), absl::OkStatus());
  EXPECT_EQ(config.max_steps(), 10);
  EXPECT_EQ(config.ema().decay(), 0.5);
  EXPECT_EQ(config.data().resolution(), 512);
  EXPECT_FALSE(config.has_lora());
}

TEST_F(TrainingCommandLineTest, WhatItPrintsIsAFileThatGivesTheSame) {
  const std::string printed = Parse({"--check_config", "--config", file_.c_str(), "--set", "seed=7"}).output;
  const std::string again = Write("b.textproto", printed);
  EXPECT_EQ(Parse({"--check_config", "--config", again.c_str()}).output, printed);
}

TEST_F(TrainingCommandLineTest, AnEstimateNeedsNeitherModelNorData) {
  const Outcome outcome = Parse({"--estimate", "--set", "batch_size=2"});
  ASSERT_TRUE(outcome.line.options.has_value()) << outcome.errors;
  EXPECT_TRUE(outcome.line.estimate);
  EXPECT_EQ(outcome.line.options->batch_size, 2);
  EXPECT_EQ(outcome.line.options->decoder_path, "") << "the published networks";
}

TEST_F(TrainingCommandLineTest, AnEstimateIsOfTheModelThatIsGiven) {
  const Outcome outcome = Parse({"--estimate", "--set", "decoder_path=m", "--set", "max_steps=7"});
  ASSERT_TRUE(outcome.line.options.has_value()) << outcome.errors;
  EXPECT_EQ(outcome.line.options->decoder_path, "m");
  EXPECT_EQ(outcome.line.options->max_steps, 7);
  EXPECT_EQ(Parse({"--estimate", "--set", "prior_path=m"}).errors,
            "kandinsky-train: decoder_path is not set\n");
}

TEST_F(TrainingCommandLineTest, SaysInOneLineWhatIsWrong) {
  const std::string bad = Write("bad.textproto", "nothing: 1");
  const std::vector<std::pair<std::vector<const char*>, std::string>> cases = {
      {{"--config", file_.c_str(), "--set", "batch_size=0"},
       "kandinsky-train: batch_size is 0, must be 1 to 4096\n"},
      {{"--check_config", "--set", "decoder_path=x"}, "kandinsky-train: data.path is not set\n"},
      {{"--config", file_.c_str(), "--set", "batch=1"},
       "kandinsky-train: --set batch=1: no field \"batch\" in TrainingConfig\n"},
      {{"--config", bad.c_str()},
       "kandinsky-train: " + bad +
           ":1:8: Message type \"kandinsky.v1.TrainingConfig\" has no field named \"nothing\".\n"}};
  for (const auto& [arguments, complaint] : cases) {
    const Outcome outcome = Parse(arguments);
    EXPECT_FALSE(outcome.line.options.has_value());
    EXPECT_EQ(outcome.line.exit_code, kTrainingExitUsage);
    EXPECT_EQ(outcome.errors, complaint);
    EXPECT_EQ(outcome.output, "");
  }
}

TEST_F(TrainingCommandLineTest, NamesAFileThatIsMissing) {
  const Outcome outcome = Parse({"--config", "/nowhere/none.textproto"});
  EXPECT_EQ(outcome.line.exit_code, kTrainingExitUsage);
  EXPECT_THAT(outcome.errors, HasSubstr("/nowhere/none.textproto"));
}

TEST_F(TrainingCommandLineTest, HelpAndVersionNeedNoConfig) {
  const Outcome help = Parse({"--help"});
  EXPECT_EQ(help.line.exit_code, kTrainingExitOk);
  EXPECT_FALSE(help.line.options.has_value());
  for (const char* flag : {"--config", "--set", "--check_config", "--estimate", "--version", "--help"}) {
    EXPECT_THAT(help.output, HasSubstr(flag));
  }
  const Outcome version = Parse({"--version"});
  EXPECT_EQ(version.line.exit_code, kTrainingExitOk);
  EXPECT_THAT(version.output, StartsWith("kandinsky-train 0."));
}

TEST_F(TrainingCommandLineTest, RefusesUnknownFlags) {
  const Outcome outcome = Parse({"--no_such_flag"});
  EXPECT_EQ(outcome.line.exit_code, kTrainingExitUsage);
  EXPECT_THAT(outcome.errors, HasSubstr("no_such_flag"));
}

}  // namespace
}  // namespace kandinsky::training
