#include "training/config/training_config.h"

#include <gmock/gmock.h>
#include <google/protobuf/util/message_differencer.h>
#include <gtest/gtest.h>

#include <map>

#include "config/config_text.h"

namespace kandinsky::training {
namespace {

using google::protobuf::FieldDescriptor;
using testing::ElementsAre;
using testing::HasSubstr;

constexpr char kPrior[] =
    "decoder_path: 'm' prior_path: 'p' data { path: 'd' } output_folder: 'o' max_steps: 1000 ";
constexpr char kDecoder[] =
    "target: TRAINING_TARGET_DECODER decoder_path: 'm' data { path: 'd' } output_folder: 'o' max_steps: "
    "1000 ";

v1::TrainingConfig Parse(const std::string& text) {
  v1::TrainingConfig config;
  EXPECT_EQ(ParseMessage(text, ConfigFormat::kTextProto, config), absl::OkStatus()) << text;
  return config;
}

TrainingOptions OptionsOf(const std::string& text) {
  const auto options = ToTrainingOptions(Parse(text));
  EXPECT_TRUE(options.ok()) << options.status();
  return options.value_or(TrainingOptions());
}

std::string ErrorOf(const std::string& text) {
  const absl::Status status = ToTrainingOptions(Parse(text)).status();
  EXPECT_TRUE(status.ok() || status.code() == absl::StatusCode::kInvalidArgument);
  return std::string(status.message());
}

// With every group that is optional, so that each field exists.
std::string ErrorAfter(const std::string& override_text) {
  v1::TrainingConfig config = Parse(std::string(kPrior) + "lora {} ema {} snr_gamma: 5");
  EXPECT_EQ(OverrideField(override_text, config), absl::OkStatus()) << override_text;
  return std::string(ToTrainingOptions(config).status().message());
}

TEST(TrainingConfigTest, HasTheDefaultsOfTheOptions) {
  const TrainingOptions options = OptionsOf(kPrior);
  const TrainingOptions plain;
  EXPECT_EQ(options.target, plain.target);
  EXPECT_EQ(options.decoder_path, "m");
  EXPECT_EQ(options.prior_path, "p");
  EXPECT_EQ(options.from_scratch, plain.from_scratch);
  EXPECT_EQ(options.data.image_column, plain.data.image_column);
  EXPECT_EQ(options.data.caption_column, plain.data.caption_column);
  EXPECT_EQ(options.data.hint_column, plain.data.hint_column);
  EXPECT_EQ(options.data.resolution, plain.data.resolution);
  EXPECT_EQ(options.data.cache_folder, plain.data.cache_folder);
  EXPECT_EQ(options.data.max_samples, plain.data.max_samples);
  EXPECT_EQ(options.batch_size, plain.batch_size);
  EXPECT_EQ(options.accumulation_steps, plain.accumulation_steps);
  EXPECT_EQ(options.seed, plain.seed);
  EXPECT_EQ(options.threads, plain.threads);
  EXPECT_EQ(options.caption_dropout, plain.caption_dropout);
  EXPECT_EQ(options.embedding_dropout, plain.embedding_dropout);
  EXPECT_EQ(options.embedding_noise, plain.embedding_noise);
  EXPECT_EQ(options.embedding_exchange, plain.embedding_exchange);
  EXPECT_EQ(options.precision, plain.precision);
  EXPECT_EQ(options.stored_type, plain.stored_type);
  EXPECT_EQ(options.log_every_steps, plain.log_every_steps);
  EXPECT_FALSE(options.snr_gamma.has_value());
  EXPECT_FALSE(options.lora.has_value());
  EXPECT_FALSE(options.ema.has_value());
}

TEST(TrainingConfigTest, HasTheDefaultsOfTheGroupsOfOptions) {
  const TrainingOptions options = OptionsOf(kPrior);
  const TrainingOptions plain;
  EXPECT_EQ(options.optimizer.kind, plain.optimizer.kind);
  EXPECT_EQ(options.optimizer.learning_rate, plain.optimizer.learning_rate);
  EXPECT_EQ(options.optimizer.beta1, plain.optimizer.beta1);
  EXPECT_EQ(options.optimizer.beta2, plain.optimizer.beta2);
  EXPECT_EQ(options.optimizer.epsilon, plain.optimizer.epsilon);
  EXPECT_EQ(options.optimizer.weight_decay, plain.optimizer.weight_decay);
  EXPECT_EQ(options.optimizer.max_gradient_norm, plain.optimizer.max_gradient_norm);
  EXPECT_EQ(options.schedule.kind, plain.schedule.kind);
  EXPECT_EQ(options.schedule.warmup_steps, plain.schedule.warmup_steps);
  EXPECT_EQ(options.validation.prompts, plain.validation.prompts);
  EXPECT_EQ(options.validation.every_steps, plain.validation.every_steps);
  EXPECT_EQ(options.validation.steps, plain.validation.steps);
  EXPECT_EQ(options.validation.prior_steps, plain.validation.prior_steps);
  EXPECT_EQ(options.validation.size, plain.validation.size);
  EXPECT_EQ(options.validation.guidance_scale, plain.validation.guidance_scale);
  EXPECT_EQ(options.checkpoints.every_steps, plain.checkpoints.every_steps);
  EXPECT_EQ(options.checkpoints.keep, plain.checkpoints.keep);
  EXPECT_EQ(options.checkpoints.resume, plain.checkpoints.resume);
}

TEST(TrainingConfigTest, CarriesEveryFieldOver) {
  const TrainingOptions options = OptionsOf(R"pb(
    target: TRAINING_TARGET_DECODER
    decoder_path: "m"
    prior_path: "p"
    output_folder: "o"
    data {
      path: "d"
      image_column: "i"
      caption_column: "c"
      hint_column: "h"
      resolution: 96
      cache_folder: "k"
      max_samples: 7
    }
    batch_size: 2
    accumulation_steps: 3
    max_steps: 4
    seed: 18446744073709551615
    threads: 5
    snr_gamma: 2.5
    caption_dropout: 0.25
    embedding_dropout: 0.5
    embedding_noise: 0.75
    embedding_exchange: 0.625
    precision: PRECISION_BFLOAT16
    stored_type: STORED_TYPE_FLOAT16
    lora { rank: 8 targets: "x" targets: "y.0" }
    ema { decay: 0.5 }
    log_every_steps: 6
  )pb");
  EXPECT_EQ(options.target, TrainingTarget::kDecoder);
  EXPECT_EQ(options.decoder_path, "m");
  EXPECT_EQ(options.prior_path, "p");
  EXPECT_EQ(options.output_folder, "o");
  EXPECT_EQ(options.data.path, "d");
  EXPECT_EQ(options.data.image_column, "i");
  EXPECT_EQ(options.data.caption_column, "c");
  EXPECT_EQ(options.data.hint_column, "h");
  EXPECT_EQ(options.data.resolution, 96);
  EXPECT_EQ(options.data.cache_folder, "k");
  EXPECT_EQ(options.data.max_samples, 7);
  EXPECT_EQ(options.batch_size, 2);
  EXPECT_EQ(options.accumulation_steps, 3);
  EXPECT_EQ(options.max_steps, 4);
  EXPECT_EQ(options.seed, UINT64_MAX);
  EXPECT_EQ(options.threads, 5);
  EXPECT_EQ(options.snr_gamma, 2.5);
  EXPECT_EQ(options.caption_dropout, 0.25);
  EXPECT_EQ(options.embedding_dropout, 0.5);
  EXPECT_EQ(options.embedding_noise, 0.75);
  EXPECT_EQ(options.embedding_exchange, 0.625);
  EXPECT_EQ(options.precision, Precision::kBFloat16);
  EXPECT_EQ(options.stored_type, StoredType::kFloat16);
  ASSERT_TRUE(options.lora.has_value() && options.ema.has_value());
  EXPECT_EQ(options.lora->rank, 8);
  EXPECT_THAT(options.lora->targets, ElementsAre("x", "y.0"));
  EXPECT_EQ(options.ema->decay, 0.5);
  EXPECT_EQ(options.log_every_steps, 6);
}

TEST(TrainingConfigTest, CarriesEveryFieldOfTheGroupsOver) {
  const TrainingOptions options = OptionsOf(std::string(kPrior) + R"pb(
    from_scratch: true
    optimizer {
      kind: OPTIMIZER_KIND_ADAFACTOR
      learning_rate: 0.5
      beta1: 0.25
      beta2: 0.75
      epsilon: 0.125
      weight_decay: 0.01
      max_gradient_norm: 2
    }
    schedule { kind: SCHEDULE_KIND_COSINE warmup_steps: 9 }
    validation {
      prompts: "a, b"
      prompts: "c"
      every_steps: 11
      steps: 12
      prior_steps: 13
      size: 64
      guidance_scale: 1.5
    }
    checkpoints { every_steps: 21 keep: 22 resume: "latest" }
  )pb");
  EXPECT_TRUE(options.from_scratch);
  EXPECT_EQ(options.optimizer.kind, OptimizerKind::kAdafactor);
  EXPECT_EQ(options.optimizer.learning_rate, 0.5);
  EXPECT_EQ(options.optimizer.beta1, 0.25);
  EXPECT_EQ(options.optimizer.beta2, 0.75);
  EXPECT_EQ(options.optimizer.epsilon, 0.125);
  EXPECT_EQ(options.optimizer.weight_decay, 0.01);
  EXPECT_EQ(options.optimizer.max_gradient_norm, 2);
  EXPECT_EQ(options.schedule.kind, ScheduleKind::kCosine);
  EXPECT_EQ(options.schedule.warmup_steps, 9);
  EXPECT_THAT(options.validation.prompts, ElementsAre("a, b", "c"));
  EXPECT_EQ(options.validation.every_steps, 11);
  EXPECT_EQ(options.validation.steps, 12);
  EXPECT_EQ(options.validation.prior_steps, 13);
  EXPECT_EQ(options.validation.size, 64);
  EXPECT_EQ(options.validation.guidance_scale, 1.5);
  EXPECT_EQ(options.checkpoints.every_steps, 21);
  EXPECT_EQ(options.checkpoints.keep, 22);
  EXPECT_EQ(options.checkpoints.resume, "latest");
  EXPECT_EQ(OptionsOf(std::string(kPrior) + "schedule { kind: SCHEDULE_KIND_LINEAR }").schedule.kind,
            ScheduleKind::kLinear);
}

TEST(TrainingConfigTest, AdaptersAreOnWhenTheirGroupIsPresent) {
  const TrainingOptions prior = OptionsOf(std::string(kPrior) + "lora {} ema {}");
  ASSERT_TRUE(prior.lora.has_value() && prior.ema.has_value());
  EXPECT_EQ(prior.lora->rank, 4);
  EXPECT_THAT(prior.lora->targets, ElementsAre("to_q", "to_k", "to_v", "to_out.0"));
  EXPECT_EQ(prior.ema->decay, 0.9999);
  const TrainingOptions decoder = OptionsOf(std::string(kDecoder) + "lora { rank: 2 }");
  EXPECT_EQ(decoder.lora->rank, 2);
  EXPECT_THAT(decoder.lora->targets,
              ElementsAre("to_q", "to_k", "to_v", "to_out.0", "add_k_proj", "add_v_proj"));
}

TEST(TrainingConfigTest, AdaptersAreWrittenInTodaysFormUnlessTheOlderOneIsAskedFor) {
  EXPECT_EQ(OptionsOf(std::string(kPrior) + "lora {}").lora->form, AdapterForm::kPeft);
  EXPECT_EQ(OptionsOf(std::string(kPrior) + "lora { form: LORA_FORM_ATTENTION_PROCESSORS }").lora->form,
            AdapterForm::kAttentionProcessors);
  const std::string old = std::string(kDecoder) + "lora { form: LORA_FORM_ATTENTION_PROCESSORS targets: ";
  EXPECT_EQ(ErrorOf(old + "'mid_block.attentions.0.to_q' targets: 'to_out.0' targets: 'add_v_proj' }"), "");
  for (const char* target : {"proj_in", "net.2", "to_out", "xto_q"}) {
    EXPECT_EQ(ErrorOf(old + "'" + target + "' }"), "lora.targets has \"" + std::string(target) +
                                                       "\", with lora.form LORA_FORM_ATTENTION_PROCESSORS a "
                                                       "target is or ends in one of to_q, to_k, to_v, "
                                                       "to_out.0, add_k_proj, add_v_proj");
  }
  EXPECT_EQ(ErrorOf(std::string(kDecoder) + "lora { targets: 'proj_in' }"), "");
}

TEST(TrainingConfigTest, DefaultsAreFilledInOnce) {
  const v1::TrainingConfig once = WithDefaults(Parse(std::string(kDecoder) + "lora {} ema {}"));
  EXPECT_TRUE(google::protobuf::util::MessageDifferencer::Equals(once, WithDefaults(once)));
}

TEST(TrainingConfigTest, TheRequiredFieldsAreAskedForByName) {
  EXPECT_EQ(ErrorOf(""), "decoder_path is not set");
  EXPECT_EQ(ErrorOf("decoder_path: 'm'"), "data.path is not set");
  EXPECT_EQ(ErrorOf("decoder_path: 'm' data { path: 'd' }"), "output_folder is not set");
  EXPECT_EQ(ErrorOf("decoder_path: 'm' data { path: 'd' } output_folder: 'o'"),
            "max_steps is 0, must be 1 to 1000000000");
  EXPECT_EQ(ErrorOf("decoder_path: 'm' data { path: 'd' } output_folder: 'o' max_steps: 1"), "");
  EXPECT_EQ(ErrorOf(kPrior), "");
  EXPECT_EQ(ErrorOf(kDecoder), "");
}

TEST(TrainingConfigTest, AdaptersExcludeRandomWeights) {
  EXPECT_EQ(ErrorOf(std::string(kPrior) + "from_scratch: true"), "");
  EXPECT_THAT(ErrorOf(std::string(kPrior) + "from_scratch: true lora {}"),
              HasSubstr("from_scratch is true, must be false with lora"));
}

TEST(TrainingConfigTest, UnknownEnumValuesAreRefused) {
  for (const char* text : {"target: 9", "precision: 9", "stored_type: 9", "optimizer { kind: 9 }",
                           "schedule { kind: 9 }", "target: -1", "lora { form: 9 }"}) {
    EXPECT_THAT(ErrorOf(text), HasSubstr(" is the unknown number ")) << text;
  }
}

TEST(TrainingConfigTest, RulesBetweenFieldsNameBoth) {
  EXPECT_EQ(ErrorOf(std::string(kPrior) + "schedule { warmup_steps: 1000 }"), "");
  EXPECT_EQ(ErrorOf(std::string(kPrior) + "schedule { warmup_steps: 1001 }"),
            "schedule.warmup_steps is 1001, must be at most max_steps, 1000");
}

TEST(TrainingConfigTest, NamesOfLayersAreChecked) {
  EXPECT_EQ(ErrorAfter("lora.targets=to_q,to_out.0"), "");
  EXPECT_EQ(ErrorAfter("lora.targets=to_q,to_k,to_q"), "lora.targets has \"to_q\", twice");
  EXPECT_EQ(ErrorAfter("lora.targets=to_q,,to_k"),
            "lora.targets has \"\", a name has 1 to 128 characters of A-Z a-z 0-9 . _");
  EXPECT_THAT(ErrorAfter("lora.targets=to q"), HasSubstr("a name has 1 to 128 characters"));
  EXPECT_EQ(ErrorAfter("lora.targets=" + std::string(128, 'a')), "");
  EXPECT_THAT(ErrorAfter("lora.targets=" + std::string(129, 'a')), HasSubstr("1 to 128 characters"));
  std::string many = "a0";
  for (int i = 1; i < 64; ++i) many += ",a" + std::to_string(i);
  EXPECT_EQ(ErrorAfter("lora.targets=" + many), "");
  EXPECT_EQ(ErrorAfter("lora.targets=" + many + ",a64"), "lora.targets has 65 entries, must have 1 to 64");
}

TEST(TrainingConfigTest, PromptsAreBounded) {
  EXPECT_EQ(ErrorAfter("validation.prompts=" + std::string(4096, 'a')), "");
  EXPECT_EQ(ErrorAfter("validation.prompts=" + std::string(4097, 'a')),
            "validation.prompts has one of 4097 bytes, must have 1 to 4096");
  EXPECT_EQ(ErrorAfter("validation.prompts=a,,b"),
            "validation.prompts has one of 0 bytes, must have 1 to 4096");
  std::string many = "a";
  for (int i = 1; i < 64; ++i) many += ",a";
  EXPECT_EQ(ErrorAfter("validation.prompts=" + many), "");
  EXPECT_EQ(ErrorAfter("validation.prompts=" + many + ",a"),
            "validation.prompts has 65 entries, must have at most 64");
}

struct Bound {
  const char* field;
  const char* inside;
  const char* outside;
};

class TrainingConfigBoundTest : public testing::TestWithParam<Bound> {};

TEST_P(TrainingConfigBoundTest, IsEnforcedExactlyAndNamed) {
  const std::string field = GetParam().field;
  EXPECT_EQ(ErrorAfter(field + "=" + GetParam().inside), "");
  const std::string error = ErrorAfter(field + "=" + GetParam().outside);
  EXPECT_EQ(error.rfind(field + " is ", 0), 0u) << error;
  EXPECT_EQ(error.find('\n'), std::string::npos);
}

INSTANTIATE_TEST_SUITE_P(
    Fields, TrainingConfigBoundTest,
    testing::Values(
        Bound{"data.path", "x", ""}, Bound{"output_folder", "x", ""}, Bound{"data.image_column", "x", ""},
        Bound{"data.caption_column", "x", ""}, Bound{"data.hint_column", "x", ""},
        Bound{"data.resolution", "32", "0"}, Bound{"data.resolution", "2048", "2080"},
        Bound{"data.resolution", "96", "100"}, Bound{"data.max_samples", "0", "-1"},
        Bound{"data.max_samples", "1000000000", "1000000001"}, Bound{"batch_size", "1", "0"},
        Bound{"batch_size", "4096", "4097"}, Bound{"accumulation_steps", "1", "0"},
        Bound{"accumulation_steps", "4096", "4097"}, Bound{"max_steps", "1", "0"},
        Bound{"max_steps", "1000000000", "1000000001"}, Bound{"threads", "0", "-1"},
        Bound{"threads", "1024", "1025"}, Bound{"optimizer.learning_rate", "1e-12", "0"},
        Bound{"optimizer.learning_rate", "10", "10.1"}, Bound{"optimizer.learning_rate", "1", "nan"},
        Bound{"optimizer.beta1", "0", "-0.1"}, Bound{"optimizer.beta1", "0.999999", "1"},
        Bound{"optimizer.beta2", "0", "-0.1"}, Bound{"optimizer.beta2", "0.999999", "1"},
        Bound{"optimizer.epsilon", "1e-20", "0"}, Bound{"optimizer.epsilon", "1", "1.5"},
        Bound{"optimizer.weight_decay", "0", "-1"}, Bound{"optimizer.weight_decay", "10", "11"},
        Bound{"optimizer.max_gradient_norm", "0", "-1"},
        Bound{"optimizer.max_gradient_norm", "1000000000", "inf"}, Bound{"schedule.warmup_steps", "0", "-1"},
        Bound{"snr_gamma", "0.000001", "0"}, Bound{"snr_gamma", "1000000", "1000001"},
        Bound{"caption_dropout", "0", "-0.1"}, Bound{"caption_dropout", "1", "1.1"},
        Bound{"embedding_dropout", "0", "-0.1"}, Bound{"embedding_dropout", "1", "1.1"},
        Bound{"embedding_noise", "0", "-0.1"}, Bound{"embedding_noise", "10", "11"},
        Bound{"embedding_exchange", "0", "-0.1"}, Bound{"embedding_exchange", "1", "1.1"},
        Bound{"lora.rank", "1", "0"}, Bound{"lora.rank", "1024", "1025"}, Bound{"ema.decay", "0", "-0.1"},
        Bound{"ema.decay", "1", "1.1"}, Bound{"validation.every_steps", "1", "0"},
        Bound{"validation.steps", "1", "0"}, Bound{"validation.steps", "1000", "1001"},
        Bound{"validation.prior_steps", "2", "1"}, Bound{"validation.prior_steps", "1000", "1001"},
        Bound{"validation.size", "32", "0"}, Bound{"validation.size", "2048", "2080"},
        Bound{"validation.size", "64", "65"}, Bound{"validation.guidance_scale", "0", "-1"},
        Bound{"validation.guidance_scale", "100", "101"}, Bound{"checkpoints.every_steps", "1", "0"},
        Bound{"checkpoints.keep", "0", "-1"}, Bound{"checkpoints.keep", "1000000", "1000001"},
        Bound{"log_every_steps", "1", "0"}, Bound{"log_every_steps", "1000000000", "1000000001"}));

// Dotted names of the fields of `message` and the messages below it that are no groups.
void CollectFields(const google::protobuf::Descriptor& message, const std::string& prefix,
                   std::map<std::string, const FieldDescriptor*>& fields) {
  for (int i = 0; i < message.field_count(); ++i) {
    const FieldDescriptor& field = *message.field(i);
    if (field.cpp_type() == FieldDescriptor::CPPTYPE_MESSAGE) {
      CollectFields(*field.message_type(), prefix + field.name() + ".", fields);
    } else {
      fields[prefix + field.name()] = &field;
    }
  }
}

TEST(TrainingConfigTest, EveryNumberHasARangeAndEveryFieldADefault) {
  std::map<std::string, const FieldDescriptor*> fields;
  CollectFields(*v1::TrainingConfig::descriptor(), "", fields);
  EXPECT_GT(fields.size(), 40u);
  const std::string printed = PrintMessage(WithDefaults(Parse("lora {} ema {} snr_gamma: 1")));
  for (const auto& [name, field] : fields) {
    if (name != "validation.prompts") {
      EXPECT_THAT(printed, HasSubstr(field->name() + ": ")) << name;
    }
    const bool number = field->cpp_type() == FieldDescriptor::CPPTYPE_INT32 ||
                        field->cpp_type() == FieldDescriptor::CPPTYPE_INT64 ||
                        field->cpp_type() == FieldDescriptor::CPPTYPE_DOUBLE;
    // A number that no rule bounds would accept the smallest int.
    if (number) {
      EXPECT_THAT(ErrorAfter(name + "=-2147483648"), HasSubstr(name));
    }
  }
}

}  // namespace
}  // namespace kandinsky::training
