#include "config/config_text.h"

#include <gmock/gmock.h>
#include <google/protobuf/util/message_differencer.h>
#include <gtest/gtest.h>
#include <stdlib.h>

#include <filesystem>
#include <fstream>

#include "kandinsky/v1/training_config.pb.h"

namespace kandinsky {
namespace {

using google::protobuf::util::MessageDifferencer;
using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;
using testing::StartsWith;

std::string ParseError(const std::string& text, ConfigFormat format) {
  v1::TrainingConfig config;
  const absl::Status status = ParseMessage(text, format, config);
  EXPECT_EQ(status.code(), absl::StatusCode::kInvalidArgument) << text;
  return std::string(status.message());
}

TEST(ParseMessageTest, ReadsTextAndJsonAlike) {
  v1::TrainingConfig text;
  v1::TrainingConfig json;
  ASSERT_EQ(ParseMessage("batch_size: 2 data { path: 'd' } seed: 18446744073709551615",
                         ConfigFormat::kTextProto, text),
            absl::OkStatus());
  ASSERT_EQ(ParseMessage(R"({"batchSize": 2, "data": {"path": "d"}, "seed": "18446744073709551615"})",
                         ConfigFormat::kJson, json),
            absl::OkStatus());
  EXPECT_TRUE(MessageDifferencer::Equals(text, json));
  EXPECT_EQ(text.seed(), UINT64_MAX);
}

TEST(ParseMessageTest, ReplacesWhatTheMessageHeld) {
  v1::TrainingConfig config;
  config.set_batch_size(2);
  ASSERT_EQ(ParseMessage("threads: 3", ConfigFormat::kTextProto, config), absl::OkStatus());
  EXPECT_FALSE(config.has_batch_size());
}

TEST(ParseMessageTest, SaysWhereTheErrorIs) {
  EXPECT_THAT(ParseError("\n  nothing: 1", ConfigFormat::kTextProto),
              HasSubstr("2:10: Message type \"kandinsky.v1.TrainingConfig\" has no field named \"nothing\""));
  EXPECT_THAT(ParseError("threads: 'x'", ConfigFormat::kTextProto), StartsWith("1:10: "));
  EXPECT_THAT(ParseError("data {", ConfigFormat::kTextProto), StartsWith("1:"));
  EXPECT_THAT(ParseError(R"({"nothing": 1})", ConfigFormat::kJson), HasSubstr("nothing"));
  EXPECT_THAT(ParseError("{", ConfigFormat::kJson), testing::Not(IsEmpty()));
}

TEST(PrintMessageTest, IsReadBack) {
  v1::TrainingConfig config;
  config.mutable_data()->set_path("a \"quoted\" path");
  config.mutable_optimizer()->set_learning_rate(1.25e-6);
  config.mutable_lora()->add_targets("to_q");
  v1::TrainingConfig again;
  ASSERT_EQ(ParseMessage(PrintMessage(config), ConfigFormat::kTextProto, again), absl::OkStatus());
  EXPECT_TRUE(MessageDifferencer::Equals(config, again));
  EXPECT_THAT(PrintMessage(config), HasSubstr("\n  learning_rate: 1.25e-06\n"));
}

// The two parsers word it differently; what may be said instead stands in both.
TEST(ParseMessageTest, AnEnumValueThatDoesNotExistIsAnsweredWithThoseThatDo) {
  v1::TrainingConfig config;
  EXPECT_EQ(ParseMessage("precision: FP16", ConfigFormat::kTextProto, config).message(),
            "1:16: Unknown enumeration value of \"FP16\" for field \"precision\". precision is one of "
            "PRECISION_FLOAT32, PRECISION_BFLOAT16.");
  EXPECT_EQ(ParseMessage(R"({"precision": "FP16"})", ConfigFormat::kJson, config).message(),
            "(precision): invalid value \"FP16\" for type type.googleapis.com/kandinsky.v1.Precision, one of "
            "PRECISION_FLOAT32, PRECISION_BFLOAT16");
  // A name that two groups have is answered for both.
  EXPECT_THAT(ParseMessage("schedule { kind: STEP }", ConfigFormat::kTextProto, config).message(),
              AllOf(HasSubstr("optimizer.kind is one of OPTIMIZER_KIND_ADAMW, OPTIMIZER_KIND_ADAFACTOR."),
                    HasSubstr("schedule.kind is one of SCHEDULE_KIND_CONSTANT")));
}

TEST(OverrideFieldTest, SetsEveryKindOfValue) {
  v1::TrainingConfig config;
  for (const char* text : {"batch_size=2", "max_steps=3000000000", "seed=18446744073709551615",
                           "snr_gamma=2.5", "from_scratch=true", "data.path=a=b", "output_folder=",
                           "precision=PRECISION_BFLOAT16", "validation.prompts=a cat,a dog"}) {
    EXPECT_EQ(OverrideField(text, config), absl::OkStatus()) << text;
  }
  EXPECT_EQ(config.batch_size(), 2);
  EXPECT_EQ(config.max_steps(), 3'000'000'000);
  EXPECT_EQ(config.seed(), UINT64_MAX);
  EXPECT_EQ(config.snr_gamma(), 2.5);
  EXPECT_TRUE(config.from_scratch());
  EXPECT_EQ(config.data().path(), "a=b");
  EXPECT_TRUE(config.has_output_folder());
  EXPECT_EQ(config.precision(), v1::PRECISION_BFLOAT16);
  EXPECT_THAT(config.validation().prompts(), ElementsAre("a cat", "a dog"));
}

TEST(OverrideFieldTest, MakesTheGroupThatItSetsAFieldOf) {
  v1::TrainingConfig config;
  ASSERT_EQ(OverrideField("lora.rank=8", config), absl::OkStatus());
  EXPECT_TRUE(config.has_lora());
  EXPECT_FALSE(config.has_ema());
}

struct BadOverride {
  const char* text;
  const char* complaint;
};

class OverrideFieldErrorTest : public testing::TestWithParam<BadOverride> {};

TEST_P(OverrideFieldErrorTest, NamesTheOverrideAndChangesNothing) {
  v1::TrainingConfig config;
  config.set_threads(1);
  const absl::Status status = OverrideField(GetParam().text, config);
  EXPECT_EQ(status.code(), absl::StatusCode::kInvalidArgument);
  EXPECT_THAT(std::string(status.message()), StartsWith(std::string("--set ") + GetParam().text + ": "));
  EXPECT_THAT(status.message(), HasSubstr(GetParam().complaint));
  v1::TrainingConfig before;
  before.set_threads(1);
  EXPECT_TRUE(MessageDifferencer::Equals(config, before));
}

INSTANTIATE_TEST_SUITE_P(
    All, OverrideFieldErrorTest,
    testing::Values(BadOverride{"threads", "must be path=value"}, BadOverride{"=1", "must be path=value"},
                    BadOverride{"nothing=1", "no field \"nothing\" in TrainingConfig"},
                    BadOverride{"data.nothing=1", "no field \"nothing\" in DataConfig"},
                    BadOverride{"threads.x=1", "threads has no fields"},
                    BadOverride{"lora.targets.x=1", "targets has no fields"},
                    BadOverride{"data=1", "data is a group of fields"},
                    BadOverride{"threads=2147483648", "not a 32-bit integer"},
                    BadOverride{"max_steps=1.5", "not a 64-bit integer"},
                    BadOverride{"seed=-1", "not an unsigned 64-bit integer"},
                    BadOverride{"seed=18446744073709551616", "not an unsigned 64-bit integer"},
                    BadOverride{"snr_gamma=five", "not a number"},
                    BadOverride{"from_scratch=1", "not true or false"},
                    BadOverride{"precision=fp16", "not one of PRECISION_FLOAT32, PRECISION_BFLOAT16"}));

class ReadMessageFileTest : public testing::Test {
 protected:
  ReadMessageFileTest() {
    std::string folder = std::filesystem::temp_directory_path() / "config_XXXXXX";
    if (::mkdtemp(folder.data()) != nullptr) folder_ = folder;
  }
  ~ReadMessageFileTest() override { std::filesystem::remove_all(folder_); }

  std::string Write(const std::string& name, const std::string& text) {
    std::ofstream(folder_ / name) << text;
    return folder_ / name;
  }

  std::filesystem::path folder_;
};

TEST_F(ReadMessageFileTest, ReadsByExtension) {
  for (const char* name : {"a.textproto", "a.txtpb", "a.pbtxt"}) {
    v1::TrainingConfig config;
    EXPECT_EQ(ReadMessageFile(Write(name, "threads: 2"), config), absl::OkStatus()) << name;
    EXPECT_EQ(config.threads(), 2);
  }
  v1::TrainingConfig config;
  EXPECT_EQ(ReadMessageFile(Write("a.json", R"({"threads": 4})"), config), absl::OkStatus());
  EXPECT_EQ(config.threads(), 4);
  const std::string yaml = Write("a.yaml", "threads: 2");
  EXPECT_EQ(ReadMessageFile(yaml, config).message(),
            yaml + ": a configuration file ends in .textproto, .txtpb, .pbtxt or .json");
}

TEST_F(ReadMessageFileTest, NamesTheFileInErrors) {
  v1::TrainingConfig config;
  const std::string bad = Write("bad.textproto", "\nnothing: 1");
  EXPECT_THAT(std::string(ReadMessageFile(bad, config).message()), StartsWith(bad + ":2:8: "));
  EXPECT_EQ(ReadMessageFile(folder_ / "none.json", config).code(), absl::StatusCode::kNotFound);
  EXPECT_THAT(ReadMessageFile(folder_ / "none.json", config).message(), HasSubstr("none.json"));
}

TEST_F(ReadMessageFileTest, RefusesMoreThanAMebibyte) {
  v1::TrainingConfig config;
  const size_t most = 1 << 20;
  EXPECT_EQ(ReadMessageFile(Write("a.txtpb", std::string(most, ' ')), config), absl::OkStatus());
  EXPECT_THAT(ReadMessageFile(Write("b.txtpb", std::string(most + 1, ' ')), config).message(),
              HasSubstr("more than the limit of 1048576"));
}

}  // namespace
}  // namespace kandinsky
