#include "pipeline/kandinsky22/generation_defaults.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>

namespace kandinsky {
namespace {

namespace fs = std::filesystem;
using ::testing::AllOf;
using ::testing::HasSubstr;
using ::testing::Not;

constexpr char kPath[] = "model/generation_defaults.json";

// Of the small model: latent cells of 4 pixels.
Capabilities Small() {
  Capabilities capabilities;
  capabilities.latent_scale = 4;
  capabilities.size_multiple = 16;
  capabilities.max_steps = 900;
  return capabilities;
}

std::string ErrorOf(const std::string& text, const Capabilities& capabilities = Small()) {
  const absl::StatusOr<RequestDefaults> defaults = ParseGenerationDefaults(text, kPath, capabilities);
  EXPECT_EQ(defaults.status().code(), absl::StatusCode::kInvalidArgument) << text;
  return std::string(defaults.status().message());
}

TEST(TrainedDefaults, AreThePublishedOnesForThePublishedNetworks) {
  const RequestDefaults defaults = TrainedDefaults({}, 64);
  EXPECT_EQ(defaults.width, 512);
  EXPECT_EQ(defaults.height, 512);
  EXPECT_EQ(defaults.steps, 50);
  EXPECT_EQ(defaults.guidance_scale, 4);
  EXPECT_EQ(defaults.prior_steps, 25);
  EXPECT_EQ(defaults.prior_guidance_scale, 4);
}

TEST(TrainedDefaults, HaveTheSizeThatTheNetworkWasTrainedWith) {
  EXPECT_EQ(TrainedDefaults(Small(), 16).width, 64);
  EXPECT_EQ(TrainedDefaults(Small(), 16).height, 64);
}

TEST(TrainedDefaults, AreNeverMoreThanTheModelCanDo) {
  Capabilities capabilities;
  capabilities.max_steps = 20;
  capabilities.max_prior_steps = 10;
  const RequestDefaults defaults = TrainedDefaults(capabilities, 12);
  EXPECT_EQ(defaults.width, 64) << "96 is no multiple of 64";
  EXPECT_EQ(defaults.steps, 20);
  EXPECT_EQ(defaults.prior_steps, 10);
  EXPECT_EQ(TrainedDefaults(capabilities, 1).width, 64);
  EXPECT_EQ(TrainedDefaults(capabilities, 4096).width, 8192);
}

TEST(GenerationDefaults, TakeTheValuesOfTheFile) {
  const auto defaults = ParseGenerationDefaults(
      R"({"width": 64, "height": 96, "steps": 25, "guidance_scale": 2, "prior_steps": 20,
          "prior_guidance_scale": 1.3})",
      kPath, Small());
  ASSERT_TRUE(defaults.ok()) << defaults.status();
  EXPECT_EQ(defaults->width, 64);
  EXPECT_EQ(defaults->height, 96);
  EXPECT_EQ(defaults->steps, 25);
  EXPECT_EQ(defaults->guidance_scale, 2);
  EXPECT_EQ(defaults->prior_steps, 20);
  EXPECT_EQ(defaults->prior_guidance_scale, 1.3f);
}

TEST(GenerationDefaults, KeepWhatTheFileLeavesOut) {
  Capabilities capabilities = Small();
  capabilities.defaults = TrainedDefaults(capabilities, 16);
  const auto defaults = ParseGenerationDefaults(R"({"steps": 25})", kPath, capabilities);
  ASSERT_TRUE(defaults.ok()) << defaults.status();
  EXPECT_EQ(defaults->width, 64);
  EXPECT_EQ(defaults->steps, 25);
  EXPECT_EQ(defaults->prior_steps, 25);
  EXPECT_EQ(defaults->guidance_scale, 4);
}

TEST(GenerationDefaults, ListEverythingThatIsWrongWithPathKeyAndRange) {
  EXPECT_EQ(ErrorOf(R"({"width": 65, "height": 16384, "steps": 901, "guidance_scale": -1, "prior_steps": 1,
                        "prior_guidance_scale": 101, "stepz": 3})"),
            "model/generation_defaults.json: width is 65, must be a multiple of 16 from 16 to 8192\n"
            "model/generation_defaults.json: height is 16384, must be a multiple of 16 from 16 to 8192\n"
            "model/generation_defaults.json: steps is 901, must be an integer from 1 to 900\n"
            "model/generation_defaults.json: guidance_scale is -1, must be a number from 0 to 100\n"
            "model/generation_defaults.json: prior_steps is 1, must be an integer from 2 to 1000\n"
            "model/generation_defaults.json: prior_guidance_scale is 101, must be a number from 0 to 100\n"
            "model/generation_defaults.json: unknown key \"stepz\"; the keys are guidance_scale, height, "
            "prior_guidance_scale, prior_steps, steps, width");
}

TEST(GenerationDefaults, RefuseWrongTypes) {
  EXPECT_THAT(ErrorOf(R"({"width": 64.0})"), HasSubstr("width is 64.0, must be a multiple of 16"));
  EXPECT_THAT(ErrorOf(R"({"width": -64})"), HasSubstr("width is -64"));
  EXPECT_THAT(ErrorOf(R"({"steps": "25"})"), HasSubstr("steps is \"25\", must be an integer"));
  EXPECT_THAT(ErrorOf(R"({"steps": null})"), HasSubstr("steps is null"));
  EXPECT_THAT(ErrorOf(R"({"steps": 18446744073709551615})"), HasSubstr("steps is 18446744073709551615"));
  EXPECT_THAT(ErrorOf(R"({"guidance_scale": true})"), HasSubstr("guidance_scale is true, must be a number"));
}

TEST(GenerationDefaults, RefuseWhatIsNoObject) {
  EXPECT_EQ(ErrorOf("[25]"), "model/generation_defaults.json: not a JSON object");
  EXPECT_THAT(ErrorOf("{"), HasSubstr("model/generation_defaults.json: not valid JSON"));
  EXPECT_THAT(ErrorOf(R"({"steps": 1, "steps": 2})"), HasSubstr("key \"steps\" appears twice"));
}

class GenerationDefaultsFile : public testing::Test {
 protected:
  GenerationDefaultsFile() {
    const auto* const test = testing::UnitTest::GetInstance()->current_test_info();
    folder_ = fs::path(testing::TempDir()) / (std::string("generation_defaults_") + test->name());
    fs::remove_all(folder_);
    for (const char* part : {"model", "decoder"}) fs::create_directories(folder_ / part);
  }
  ~GenerationDefaultsFile() override { fs::remove_all(folder_); }

  void Write(const std::string& part, const std::string& text) const {
    std::ofstream(folder_ / part / kGenerationDefaultsFile) << text;
  }
  absl::StatusOr<RequestDefaults> Read() const {
    return ReadGenerationDefaults({(folder_ / "model").string(), (folder_ / "decoder").string()}, Small());
  }

  fs::path folder_;
};

TEST_F(GenerationDefaultsFile, IsOptional) { EXPECT_EQ(Read()->steps, 50); }

TEST_F(GenerationDefaultsFile, MayLieInAnyOfTheFoldersAndTheFirstOneCounts) {
  Write("decoder", R"({"steps": 7})");
  EXPECT_EQ(Read()->steps, 7);
  Write("model", R"({"steps": 8})");
  EXPECT_EQ(Read()->steps, 8);
}

TEST_F(GenerationDefaultsFile, IsNamedByItsErrors) {
  Write("model", R"({"steps": 0})");
  EXPECT_THAT(std::string(Read().status().message()),
              AllOf(HasSubstr((folder_ / "model/generation_defaults.json").string()), Not(HasSubstr("\n"))));
}

}  // namespace
}  // namespace kandinsky
