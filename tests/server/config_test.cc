#include "server/config.h"

#include <fcntl.h>
#include <gmock/gmock.h>
#include <google/protobuf/util/message_differencer.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include <cstdlib>
#include <filesystem>
#include <fstream>

#include "base/status_macros.h"
#include "config/config_text.h"
#include "server/command_line.h"

namespace kandinsky::server {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;

constexpr char kModel[] = R"(model { path: "m" } )";

absl::StatusOr<v1::ServerConfig> ParseConfig(const std::string& text, ConfigFormat format) {
  v1::ServerConfig config;
  RETURN_IF_ERROR(ParseMessage(text, format, config));
  return config;
}

v1::ServerConfig Valid() { return WithDefaults(*ParseConfig(kModel, ConfigFormat::kTextProto)); }

std::string ValidationError(const std::string& override_text) {
  v1::ServerConfig config = Valid();
  EXPECT_TRUE(ApplyOverride(override_text, config).ok()) << override_text;
  return std::string(ValidateConfig(config).message());
}

TEST(Config, ReadsTextAndJsonAlike) {
  const auto text =
      ParseConfig("engine { max_batch_rows: 4 } log { level: LOG_LEVEL_DEBUG }", ConfigFormat::kTextProto);
  const auto json = ParseConfig(R"({"engine": {"maxBatchRows": 4}, "log": {"level": "LOG_LEVEL_DEBUG"}})",
                                ConfigFormat::kJson);
  ASSERT_TRUE(text.ok() && json.ok()) << text.status() << json.status();
  EXPECT_TRUE(google::protobuf::util::MessageDifferencer::Equals(*text, *json));
}

TEST(Config, RefusesUnknownFields) {
  EXPECT_THAT(
      ParseConfig("\n  no_such_field: 1", ConfigFormat::kTextProto).status().message(),
      HasSubstr("2:16: Message type \"kandinsky.v1.ServerConfig\" has no field named \"no_such_field\""));
  EXPECT_THAT(ParseConfig(R"({"noSuchField": 1})", ConfigFormat::kJson).status().message(),
              HasSubstr("noSuchField"));
}

TEST(Config, RefusesMalformedText) {
  EXPECT_FALSE(ParseConfig("engine {", ConfigFormat::kTextProto).ok());
  EXPECT_FALSE(ParseConfig("{", ConfigFormat::kJson).ok());
  EXPECT_FALSE(ParseConfig("workers: \"two\"", ConfigFormat::kTextProto).ok());
}

TEST(Config, RoundTripsThroughItsPrintedForm) {
  const v1::ServerConfig config = Valid();
  const auto parsed = ParseConfig(PrintConfig(config), ConfigFormat::kTextProto);
  ASSERT_TRUE(parsed.ok()) << parsed.status();
  EXPECT_TRUE(google::protobuf::util::MessageDifferencer::Equals(config, *parsed));
}

TEST(Config, KeepsWhatIsSetAndFillsInTheRest) {
  const auto config = WithDefaults(*ParseConfig(
      "limits { max_images: 3 max_deadline_seconds: 600 } workers: 2", ConfigFormat::kTextProto));
  EXPECT_EQ(config.limits().max_images(), 3);
  EXPECT_EQ(config.limits().max_prompt_bytes(), 4096);
  EXPECT_EQ(config.workers(), 2);
  EXPECT_EQ(config.listen_address(), "0.0.0.0:50051");
  EXPECT_EQ(config.log().format(), v1::LOG_FORMAT_JSON);
  EXPECT_TRUE(config.reflection());
  EXPECT_EQ(config.limits().max_connection_age_grace_seconds(), 630);
  EXPECT_EQ(config.drain().finish_seconds(), 600);
  EXPECT_EQ(config.engine().batch_mode(), v1::BATCH_MODE_SHAPE);
  EXPECT_EQ(config.engine().max_inflight_bytes(), int64_t{1} << 30);
  EXPECT_EQ(config.results().keep_seconds(), 300);
  EXPECT_EQ(config.model().kind(), v1::MODEL_KIND_KANDINSKY);
  EXPECT_EQ(config.model().simulated().denoise_row_ms(), 2.55);
}

TEST(Config, DefaultsOfOneFieldFollowAnother) {
  EXPECT_EQ(Valid().engine().preferred_batch_rows(), 8);
  const auto config = WithDefaults(*ParseConfig("engine { max_batch_rows: 5 }", ConfigFormat::kTextProto));
  EXPECT_EQ(config.engine().preferred_batch_rows(), 5);
}

TEST(Config, HasOneCpuUnlessDevicesAreNamed) {
  EXPECT_THAT(Valid().model().devices(), ElementsAre("cpu"));
  const auto config =
      WithDefaults(*ParseConfig(R"(model { devices: "sim:0" devices: "sim:1" })", ConfigFormat::kTextProto));
  EXPECT_THAT(config.model().devices(), ElementsAre("sim:0", "sim:1"));
}

TEST(Config, IsValidWithDefaultsAndAModel) { EXPECT_EQ(ValidateConfig(Valid()), absl::OkStatus()); }

TEST(Config, AppliesOverridesOfEveryScalarType) {
  v1::ServerConfig config;
  for (const char* text :
       {"workers=3", "limits.max_deadline_seconds=1.5", "reflection=false", "model.path=a=b",
        "log.level=LOG_LEVEL_ERROR", "metrics_address=", "results.max_bytes=1099511627776"}) {
    EXPECT_EQ(ApplyOverride(text, config), absl::OkStatus()) << text;
  }
  EXPECT_EQ(config.workers(), 3);
  EXPECT_EQ(config.limits().max_deadline_seconds(), 1.5);
  EXPECT_TRUE(config.has_reflection());
  EXPECT_FALSE(config.reflection());
  EXPECT_EQ(config.model().path(), "a=b");
  EXPECT_EQ(config.log().level(), v1::LOG_LEVEL_ERROR);
  EXPECT_TRUE(config.has_metrics_address());
  EXPECT_EQ(config.results().max_bytes(), int64_t{1} << 40);
}

TEST(Config, AnOverrideReplacesAWholeList) {
  v1::ServerConfig config;
  ASSERT_EQ(ApplyOverride("model.devices=a,b", config), absl::OkStatus());
  EXPECT_THAT(config.model().devices(), ElementsAre("a", "b"));
  ASSERT_EQ(ApplyOverride("model.devices=c", config), absl::OkStatus());
  EXPECT_THAT(config.model().devices(), ElementsAre("c"));
  ASSERT_EQ(ApplyOverride("model.devices=", config), absl::OkStatus());
  EXPECT_THAT(WithDefaults(config).model().devices(), ElementsAre("cpu"));
}

TEST(Config, NeedsAModelPathForKandinskyAlone) {
  EXPECT_THAT(ValidationError("model.path="), HasSubstr("model.path is not set"));
  v1::ServerConfig config = Valid();
  config.mutable_model()->clear_path();
  config.mutable_model()->set_kind(v1::MODEL_KIND_SIMULATED);
  EXPECT_EQ(ValidateConfig(config), absl::OkStatus());
}

TEST(Config, LetsASimulatedModelHaveDevicesOfAnyName) {
  v1::ServerConfig config = Valid();
  config.mutable_model()->set_kind(v1::MODEL_KIND_SIMULATED);
  const auto error = [&](const std::string& devices) {
    EXPECT_EQ(ApplyOverride("model.devices=" + devices, config), absl::OkStatus());
    return std::string(ValidateConfig(config).message());
  };
  EXPECT_EQ(error("cuda:0,cuda:1,a-b_c.d"), "");
  EXPECT_EQ(error("a,b,a"), "model.devices has \"a\", twice");
  EXPECT_EQ(error("a,,b"), "model.devices has \"\", a device has 1 to 64 characters of A-Z a-z 0-9 . _ - :");
  EXPECT_THAT(error("a b"), HasSubstr("1 to 64 characters"));
  EXPECT_THAT(error(std::string(65, 'a')), HasSubstr("1 to 64 characters"));
  std::string many = "d0";
  for (int i = 1; i < 64; ++i) many += ",d" + std::to_string(i);
  EXPECT_EQ(error(many), "");
  EXPECT_EQ(error(many + ",d64"), "model.devices has 65 entries, must have 1 to 64");
}

TEST(Config, ComputesOnTheCpuAlone) {
  EXPECT_EQ(ValidationError("model.devices=cpu"), "");
  EXPECT_EQ(ValidationError("model.devices=cuda:0"),
            "model.devices has \"cuda:0\", this build computes on \"cpu\" only");
}

TEST(Config, RefusesEnumValuesThatDoNotExist) {
  for (const char* field : {"log { level", "log { format", "model { kind", "engine { batch_mode"}) {
    auto config = ParseConfig(std::string(field) + ": 9 }", ConfigFormat::kTextProto);
    ASSERT_TRUE(config.ok()) << config.status();
    config->mutable_model()->set_path("m");
    EXPECT_THAT(ValidateConfig(WithDefaults(*config)).message(),
                HasSubstr(" is the unknown number 9, must be one of "))
        << field;
  }
}

TEST(Config, KeepsAnAddressThatWasSetToNothing) {
  v1::ServerConfig config;
  ASSERT_TRUE(ApplyOverride("metrics_address=", config).ok());
  EXPECT_EQ(WithDefaults(config).metrics_address(), "");
}

struct BadOverride {
  const char* text;
  const char* complaint;
};

class Override : public testing::TestWithParam<BadOverride> {};

TEST_P(Override, IsRefusedAndChangesNothing) {
  v1::ServerConfig config;
  const absl::Status status = ApplyOverride(GetParam().text, config);
  EXPECT_FALSE(status.ok());
  EXPECT_THAT(status.message(), HasSubstr(GetParam().complaint));
  EXPECT_THAT(status.message(), HasSubstr(GetParam().text));
  EXPECT_TRUE(google::protobuf::util::MessageDifferencer::Equals(config, v1::ServerConfig()));
}

INSTANTIATE_TEST_SUITE_P(
    Bad, Override,
    testing::Values(BadOverride{"workers", "path=value"}, BadOverride{"=3", "path=value"},
                    BadOverride{"no_such=3", "no field \"no_such\" in ServerConfig"},
                    BadOverride{"limits.nothing=3", "no field \"nothing\" in LimitsConfig"},
                    BadOverride{"workers.x=3", "workers has no fields"},
                    BadOverride{"limits=3", "group of fields"}, BadOverride{"workers=two", "32-bit"},
                    BadOverride{"workers=3000000000", "32-bit"}, BadOverride{"workers=1.5", "32-bit"},
                    BadOverride{"limits.max_deadline_seconds=x", "number"},
                    BadOverride{"reflection=yes", "true or false"},
                    BadOverride{"results.max_bytes=1.5", "64-bit"},
                    BadOverride{"results.max_bytes=9223372036854775808", "64-bit"},
                    BadOverride{"model.simulated=3", "group of fields"},
                    BadOverride{"engine.batch_mode=shape", "not one of BATCH_MODE_"},
                    BadOverride{"log.level=LOUD", "not one of LOG_LEVEL_"}));

struct Bound {
  const char* field;
  const char* inside;
  const char* outside;
};

class ConfigBound : public testing::TestWithParam<Bound> {};

TEST_P(ConfigBound, IsEnforcedExactlyAndNamed) {
  const std::string field = GetParam().field;
  EXPECT_EQ(ValidationError(field + "=" + GetParam().inside), "");
  const std::string error = ValidationError(field + "=" + GetParam().outside);
  EXPECT_THAT(error, HasSubstr(field));
  EXPECT_EQ(error.find('\n'), std::string::npos);
}

INSTANTIATE_TEST_SUITE_P(
    Fields, ConfigBound,
    testing::Values(
        Bound{"operator_client_id", "root", "a b"}, Bound{"operator_client_id", "", "-/"},
        Bound{"workers", "1", "0"}, Bound{"workers", "64", "65"}, Bound{"codec_threads", "1", "0"},
        Bound{"codec_threads", "64", "65"}, Bound{"engine.max_queued_requests", "1", "0"},
        Bound{"engine.max_batch_rows", "256", "257"}, Bound{"engine.max_batch_latent_pixels", "1", "0"},
        Bound{"engine.max_active_generations", "1", "0"}, Bound{"engine.max_queued_seconds", "0.001", "0"},
        Bound{"engine.max_queued_seconds", "86400", "86401"},
        Bound{"engine.priority_ageing_seconds", "0.001", "0"},
        Bound{"engine.batch_delay_seconds", "0", "-0.1"}, Bound{"engine.batch_delay_seconds", "60", "61"},
        Bound{"engine.preferred_batch_rows", "256", "257"},
        Bound{"engine.max_times_passed_over", "1000", "1001"},
        Bound{"engine.max_batch_memory_bytes", "1099511627776", "1099511627777"},
        Bound{"engine.max_inflight_bytes", "1048576", "1048575"}, Bound{"results.keep_seconds", "0", "-1"},
        Bound{"results.max_bytes", "1099511627776", "1099511627777"},
        Bound{"model.simulated.denoise_row_ms", "60000", "60001"},
        Bound{"model.simulated.lose_every_steps", "1000000000", "1000000001"},
        Bound{"limits.max_images", "64", "65"}, Bound{"limits.max_images", "1", "0"},
        Bound{"limits.max_size", "64", "63"}, Bound{"limits.max_steps", "1000", "1001"},
        Bound{"limits.max_prior_steps", "2", "1"}, Bound{"limits.max_prompt_bytes", "1", "0"},
        Bound{"limits.max_prompt_bytes", "4096", "4097"},
        Bound{"limits.max_receive_message_bytes", "16859136", "16859135"},
        Bound{"limits.max_text_message_bytes", "81920", "81919"},
        Bound{"limits.max_image_bytes", "8388608", "8388609"},
        Bound{"limits.max_image_pixels", "4096", "4095"},
        Bound{"limits.max_receive_message_bytes", "201326592", "201326593"},
        Bound{"limits.max_metadata_bytes", "1024", "1023"}, Bound{"limits.max_megapixel_steps", "0.001", "0"},
        Bound{"limits.max_megapixel_steps", "1", "nan"},
        Bound{"limits.max_unary_reply_bytes", "1024", "1023"},
        Bound{"limits.image_chunk_bytes", "2097152", "2097153"},
        Bound{"limits.default_deadline_seconds", "300", "300.5"},
        Bound{"limits.default_deadline_seconds", "1", "-1"},
        Bound{"limits.max_deadline_seconds", "330", "331"},
        Bound{"limits.keepalive_min_interval_seconds", "1", "0.5"},
        Bound{"limits.max_connection_age_seconds", "1", "0.5"},
        Bound{"limits.max_connection_age_grace_seconds", "300", "299"},
        Bound{"limits.max_concurrent_streams", "1", "0"}, Bound{"drain.lame_duck_seconds", "0", "-1"},
        Bound{"drain.finish_seconds", "0", "inf"}, Bound{"model.threads", "0", "-1"},
        Bound{"model.lora_scale", "4", "4.1"}, Bound{"model.lora_scale", "-4", "-4.1"},
        Bound{"model.name", "a-b.c_1", "a b"}, Bound{"model.path", "x", ""},
        Bound{"listen_address", "[::]:1", "::1"}, Bound{"listen_address", "h:65535", "h:65536"},
        Bound{"listen_address", ":0", "h"}, Bound{"metrics_address", "", "h:x"}));

// Dotted names of the numbers in `message` and in the messages below it, but for lists of messages.
void CollectNumbers(const google::protobuf::Descriptor& message, const std::string& prefix,
                    std::vector<std::string>& names) {
  using google::protobuf::FieldDescriptor;
  for (int i = 0; i < message.field_count(); ++i) {
    const FieldDescriptor& field = *message.field(i);
    const std::string name = prefix + field.name();
    if (field.cpp_type() == FieldDescriptor::CPPTYPE_MESSAGE) {
      if (field.is_repeated()) continue;
      CollectNumbers(*field.message_type(), name + ".", names);
    } else if (field.cpp_type() == FieldDescriptor::CPPTYPE_INT32 ||
               field.cpp_type() == FieldDescriptor::CPPTYPE_INT64 ||
               field.cpp_type() == FieldDescriptor::CPPTYPE_DOUBLE) {
      names.push_back(name);
    }
  }
}

// What is wrong with sets of adapters; "" when nothing is.
std::string AdaptersError(const std::string& adapters, const std::string& kind = "MODEL_KIND_KANDINSKY") {
  const auto config =
      ParseConfig("model { path: \"x\" kind: " + kind + " " + adapters + " }", ConfigFormat::kTextProto);
  if (!config.ok()) return config.status().ToString();
  return std::string(ValidateConfig(WithDefaults(*config)).message());
}

TEST(Config, TakesSetsOfAdapters) {
  EXPECT_EQ(AdaptersError(R"(adapters { name: "a" unet_lora_path: "u" scale: -4 }
                             adapters { name: "b" prior_lora_path: "p" scale: 4 })"),
            "");
  EXPECT_EQ(AdaptersError(R"(adapters { name: "a" })", "MODEL_KIND_SIMULATED"), "");
  const auto config =
      ParseConfig(R"(model { adapters { name: "a" unet_lora_path: "u" } })", ConfigFormat::kTextProto);
  EXPECT_EQ(WithDefaults(*config).model().adapters(0).scale(), 1);
}

TEST(Config, RefusesWrongSetsOfAdaptersByTheirPlace) {
  EXPECT_THAT(AdaptersError(R"(adapters { unet_lora_path: "u" })"), HasSubstr("model.adapters[0].name"));
  EXPECT_THAT(AdaptersError(R"(adapters { name: "a b" unet_lora_path: "u" })"),
              HasSubstr("model.adapters[0].name"));
  EXPECT_THAT(AdaptersError(R"(adapters { name: "a" unet_lora_path: "u" }
                               adapters { name: "a" prior_lora_path: "p" })"),
              HasSubstr("model.adapters[1].name"));
  EXPECT_THAT(AdaptersError(R"(adapters { name: "a" })"), HasSubstr("model.adapters[0] has neither"));
  for (const char* scale : {"4.1", "-4.1", "nan", "inf"}) {
    EXPECT_THAT(
        AdaptersError(std::string(R"(adapters { name: "a" unet_lora_path: "u" scale: )") + scale + "}"),
        HasSubstr("model.adapters[0].scale must be -4 to 4"));
  }
  std::string many;
  for (int i = 0; i <= 64; ++i) {
    many += "adapters { name: \"a" + std::to_string(i) + "\" unet_lora_path: \"u\" }";
  }
  EXPECT_THAT(AdaptersError(many), HasSubstr("model.adapters has 65 entries"));
}

TEST(Config, LetsTheLargestRequestFitIntoAMessage) {
  const v1::LimitsConfig defaults = Valid().limits();
  EXPECT_EQ(defaults.max_text_message_bytes(), 19 * 4096 + 4096);
  EXPECT_EQ(defaults.max_receive_message_bytes(), 2 * (8 << 20) + defaults.max_text_message_bytes());
  EXPECT_GT(defaults.max_receive_message_bytes(), 2048 * 2048 * 4 + 1024) << "a depth map as a tensor";
  const v1::LimitsConfig larger =
      WithDefaults(*ParseConfig("limits { max_prompt_bytes: 10000 max_image_bytes: 1000000 }",
                                ConfigFormat::kTextProto))
          .limits();
  EXPECT_EQ(larger.max_text_message_bytes(), 194'096);
  EXPECT_EQ(larger.max_receive_message_bytes(), 2'194'096);

  v1::ServerConfig largest = *ParseConfig("limits { max_prompt_bytes: 1048576 max_image_bytes: 67108864 }",
                                          ConfigFormat::kTextProto);
  largest.mutable_model()->set_path("x");
  EXPECT_EQ(ValidateConfig(WithDefaults(largest)), absl::OkStatus());
  largest.mutable_limits()->set_max_image_bytes(67108865);
  EXPECT_FALSE(ValidateConfig(WithDefaults(largest)).ok());
}

TEST(Config, CoversEveryNumericFieldWithARangeAndADefault) {
  std::vector<std::string> names;
  CollectNumbers(*v1::ServerConfig::descriptor(), "", names);
  EXPECT_GT(names.size(), 40u);
  // A number that no rule bounds would accept the smallest int, one without a default would not be printed.
  const std::string printed = PrintConfig(Valid());
  for (const std::string& name : names) {
    EXPECT_THAT(ValidationError(name + "=-2147483648"), HasSubstr(name));
    EXPECT_THAT(printed, HasSubstr(name.substr(name.rfind('.') + 1) + ": "));
  }
}

TEST(Config, OfDeployIsValid) {
  for (const char* name : {"server.textproto", "simulated.textproto"}) {
    const auto config = ReadConfigFile(std::string(KANDINSKY_SOURCE_DIR) + "/deploy/" + name);
    ASSERT_TRUE(config.ok()) << config.status();
    EXPECT_EQ(ValidateConfig(WithDefaults(*config)), absl::OkStatus()) << name;
  }
}

TEST(Config, OfASimulatedServerKeepsMetricsToItsMachine) {
  const auto config = ReadConfigFile(std::string(KANDINSKY_SOURCE_DIR) + "/deploy/simulated.textproto");
  ASSERT_TRUE(config.ok()) << config.status();
  EXPECT_EQ(WithDefaults(*config).metrics_address(), WithDefaults(v1::ServerConfig()).metrics_address());
}

class ConfigFile : public testing::Test {
 protected:
  ConfigFile() {
    const auto* info = testing::UnitTest::GetInstance()->current_test_info();
    folder_ = std::filesystem::temp_directory_path() /
              (std::string("kandinsky_") + info->name() + "_" + std::to_string(getpid()));
    std::filesystem::create_directories(folder_);
  }
  ~ConfigFile() override { std::filesystem::remove_all(folder_); }

  std::string Write(const std::string& name, const std::string& text) {
    std::ofstream(folder_ / name) << text;
    return folder_ / name;
  }

  CommandLine Parse(std::vector<const char*> arguments) {
    arguments.insert(arguments.begin(), "kandinsky-server");
    return ParseCommandLine(static_cast<int>(arguments.size()), arguments.data());
  }

  std::filesystem::path folder_;
};

TEST_F(ConfigFile, IsReadByItsExtension) {
  EXPECT_EQ(ReadConfigFile(Write("a.textproto", "workers: 2"))->workers(), 2);
  EXPECT_EQ(ReadConfigFile(Write("a.pbtxt", "workers: 3"))->workers(), 3);
  EXPECT_EQ(ReadConfigFile(Write("a.json", R"({"workers": 4})"))->workers(), 4);
  EXPECT_FALSE(ReadConfigFile(Write("a.yaml", "workers: 5")).ok());
  EXPECT_THAT(ReadConfigFile(Write("b.textproto", "\nx: 5")).status().message(), HasSubstr("b.textproto:2:"));
}

TEST_F(ConfigFile, ThatIsMissingIsNamed) {
  EXPECT_THAT(ReadConfigFile(folder_ / "none.json").status().message(), HasSubstr("none.json"));
}

TEST_F(ConfigFile, IsOverriddenByTheCommandLineInOrder) {
  const std::string file = Write("a.textproto", std::string(kModel) + "workers: 2 codec_threads: 3");
  const CommandLine line = Parse(
      {"--config", file.c_str(), "--set", "workers=5", "--set", "workers=6", "--set", "limits.max_images=2"});
  ASSERT_TRUE(line.config.has_value());
  EXPECT_EQ(line.config->workers(), 6);
  EXPECT_EQ(line.config->codec_threads(), 3);
  EXPECT_EQ(line.config->limits().max_images(), 2);
}

TEST_F(ConfigFile, IsPrintedWithAllDefaults) {
  testing::internal::CaptureStdout();
  const CommandLine line = Parse({"--print_config", "--set", "workers=5"});
  const auto printed = ParseConfig(testing::internal::GetCapturedStdout(), ConfigFormat::kTextProto);
  EXPECT_FALSE(line.config.has_value());
  EXPECT_EQ(line.exit_code, kExitOk);
  ASSERT_TRUE(printed.ok()) << printed.status();
  EXPECT_EQ(printed->workers(), 5);
  EXPECT_EQ(printed->limits().max_size(), 2048);
}

TEST_F(ConfigFile, IsPrintedToAStandardOutputThatTakesItOrItIsAnError) {
  GTEST_FLAG_SET(death_test_style, "threadsafe");
  const auto print = [this](std::vector<const char*> arguments) {
    dup2(open("/dev/full", O_WRONLY), STDOUT_FILENO);
    std::exit(Parse(std::move(arguments)).exit_code);
  };
  constexpr char kLost[] = "kandinsky-server: cannot write to the standard output: No space left on device";
  EXPECT_EXIT(print({"--print_config"}), testing::ExitedWithCode(kExitFailure), kLost);
  EXPECT_EXIT(print({"--print_config", "--check_config", "--set", "model.path=x"}),
              testing::ExitedWithCode(kExitFailure), kLost);
  EXPECT_EXIT(print({"--version"}), testing::ExitedWithCode(kExitFailure), kLost);
  EXPECT_EXIT(print({"--help"}), testing::ExitedWithCode(kExitFailure), kLost);
}

TEST_F(ConfigFile, ChecksAndEndsWithTheResult) {
  const CommandLine good = Parse({"--check_config", "--set", "model.path=x"});
  EXPECT_FALSE(good.config.has_value());
  EXPECT_EQ(good.exit_code, kExitOk);
  testing::internal::CaptureStderr();
  const CommandLine bad = Parse({"--check_config", "--set", "workers=0"});
  EXPECT_EQ(bad.exit_code, kExitUsage);
  EXPECT_EQ(testing::internal::GetCapturedStderr(), "kandinsky-server: workers is 0, must be 1 to 64\n");
}

TEST_F(ConfigFile, ChecksThatThisMachineHasTheAddresses) {
  testing::internal::CaptureStderr();
  // An address of no machine (RFC 5737).
  EXPECT_EQ(
      Parse({"--check_config", "--set", "model.path=x", "--set", "listen_address=192.0.2.1:1"}).exit_code,
      kExitUsage);
  EXPECT_EQ(
      testing::internal::GetCapturedStderr(),
      "kandinsky-server: cannot listen on listen_address 192.0.2.1:1: Cannot assign requested address\n");
  testing::internal::CaptureStderr();
  EXPECT_EQ(Parse({"--check_config", "--set", "model.path=x", "--set", "listen_address=unix:/s"}).exit_code,
            kExitUsage);
  EXPECT_THAT(testing::internal::GetCapturedStderr(),
              HasSubstr("listen_address is \"unix:/s\": must be host:port"));
}

TEST(Config, ShowsMetricsToThisMachineAloneUnlessToldOtherwise) {
  EXPECT_EQ(WithDefaults(v1::ServerConfig()).metrics_address(), "127.0.0.1:0");
}

TEST_F(ConfigFile, IsNotNeededForHelpAndVersion) {
  testing::internal::CaptureStdout();
  EXPECT_EQ(Parse({"--help"}).exit_code, kExitOk);
  EXPECT_EQ(Parse({"--version"}).exit_code, kExitOk);
  const std::string output = testing::internal::GetCapturedStdout();
  for (const char* flag : {"--config", "--set", "--check_config", "--print_config", "--version", "--help"}) {
    EXPECT_THAT(output, HasSubstr(flag));
  }
  EXPECT_THAT(output, HasSubstr("kandinsky-server 0."));
}

TEST_F(ConfigFile, CannotBeReplacedByAnUnknownFlag) {
  testing::internal::CaptureStderr();
  EXPECT_EQ(Parse({"--no_such_flag"}).exit_code, kExitUsage);
  EXPECT_THAT(testing::internal::GetCapturedStderr(), HasSubstr("no_such_flag"));
}

}  // namespace
}  // namespace kandinsky::server
