#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "scheduler/engine.h"
#include "tests/scheduler/engine_harness.h"

namespace kandinsky {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::Not;
using ::testing::SizeIs;

TEST_F(EngineTest, AFailedStepFailsItsMembersAndNobodyElse) {
  // "first" is at its denoise steps while "bad" and "shares" do their prior ones.
  pipeline_options_.failures = {{.prompt = "bad", .stage = Stage::kPrior, .step = 1}};
  StartGated();
  const auto first = Submit("first");
  gate_.Allow(3);
  gate_.WaitForArrivals(4);
  const auto bad = Submit("bad");
  const auto shares = Submit("shares");
  gate_.Open();
  EXPECT_EQ(bad->WaitForEnd().code(), absl::StatusCode::kInternal);
  EXPECT_EQ(shares->WaitForEnd().code(), absl::StatusCode::kInternal);
  EXPECT_TRUE(first->WaitForEnd().ok());
  EXPECT_TRUE(Submit("next")->WaitForEnd().ok());
  EXPECT_EQ(engine_->snapshot().failed_total, 2);
}

struct Fault {
  Stage stage;
  ScriptedFailure::Kind kind;
};

void PrintTo(const Fault& fault, std::ostream* out) {
  *out << StageName(fault.stage) << ", kind " << static_cast<int>(fault.kind);
}

class StageFaultTest : public EngineTest, public testing::WithParamInterface<Fault> {};

TEST_P(StageFaultTest, EndsTheRequestWithoutInnerTextAndServesTheNext) {
  pipeline_options_.failures = {
      {.prompt = "bad", .stage = GetParam().stage, .step = 0, .kind = GetParam().kind}};
  Start();
  const absl::Status status = Submit("bad")->WaitForEnd();
  const bool out_of_memory = GetParam().kind == ScriptedFailure::Kind::kOutOfMemory;
  EXPECT_EQ(status.code(),
            out_of_memory ? absl::StatusCode::kResourceExhausted : absl::StatusCode::kInternal);
  EXPECT_THAT(std::string(status.message()), Not(HasSubstr("secret")));
  EXPECT_FALSE(status.message().empty());
  EXPECT_TRUE(Submit("next")->WaitForEnd().ok());
}

std::vector<Fault> AllFaults() {
  std::vector<Fault> faults;
  for (const Stage stage : {Stage::kEncode, Stage::kPrior, Stage::kDenoise, Stage::kDecode}) {
    for (const auto kind : {ScriptedFailure::Kind::kInternal, ScriptedFailure::Kind::kThrow,
                            ScriptedFailure::Kind::kOutOfMemory, ScriptedFailure::Kind::kForeign}) {
      faults.push_back({stage, kind});
    }
  }
  return faults;
}

INSTANTIATE_TEST_SUITE_P(EveryStage, StageFaultTest, testing::ValuesIn(AllFaults()));

TEST_F(EngineTest, TheFirstFailureEndsTheWholeRequest) {
  pipeline_options_.failures = {{.prompt = "bad", .stage = Stage::kDenoise, .step = 1}};
  Start();
  EngineRequest request = {.images = {Small("good"), Small("bad")}};
  request.images[0].width = 768;  // the two are never in one denoise step
  request.images[0].steps = 50;
  const auto observer = SubmitRequest(std::move(request));
  EXPECT_EQ(observer->WaitForEnd().code(), absl::StatusCode::kInternal);
  ASSERT_TRUE(Submit("next")->WaitForEnd().ok());
  EXPECT_THAT(observer->images(), SizeIs(0));
  EXPECT_LT(log_->StepsOf("good"), 50);
}

TEST_F(EngineTest, ABatchThatRunsOutOfMemoryIsSplitAndRetried) {
  pipeline_options_.out_of_memory_above_rows = 2;
  Start();
  const auto observer = Submit("cat", /*images=*/8);
  EXPECT_TRUE(observer->WaitForEnd().ok());
  EXPECT_THAT(observer->images(), SizeIs(8));
  std::vector<size_t> encode_rows;
  for (const FakeStep& step : log_->steps()) {
    if (step.key.stage == Stage::kEncode) encode_rows.push_back(step.members.size());
    EXPECT_EQ(step.failed, step.members.size() > 2);
  }
  EXPECT_THAT(encode_rows, ElementsAre(8, 4, 2, 2, 2, 2));
}

TEST_F(EngineTest, ALowerCapIsRememberedForTheKey) {
  pipeline_options_.out_of_memory_above_rows = 2;
  Start();
  ASSERT_TRUE(Submit("first", /*images=*/8)->WaitForEnd().ok());
  const size_t before = log_->steps().size();
  ASSERT_TRUE(Submit("second", /*images=*/8)->WaitForEnd().ok());
  const std::vector<FakeStep> steps = log_->steps();
  for (size_t i = before; i < steps.size(); ++i) EXPECT_FALSE(steps[i].failed);
}

TEST_F(EngineTest, OneGenerationThatDoesNotFitFailsAlone) {
  pipeline_options_.failures = {
      {.prompt = "huge", .stage = Stage::kDecode, .step = 0, .kind = ScriptedFailure::Kind::kOutOfMemory}};
  StartGated();
  Submit("blocker");
  gate_.WaitForArrivals(1);
  const auto huge = Submit("huge");
  const auto fits = Submit("fits");
  gate_.Open();
  EXPECT_EQ(huge->WaitForEnd().code(), absl::StatusCode::kResourceExhausted);
  EXPECT_TRUE(fits->WaitForEnd().ok());
}

TEST_F(EngineTest, ARequestThatThePipelineRefusesIsRejected) {
  pipeline_options_.refused_prompts = {"unfit"};
  Start();
  EngineRequest request = {.images = {Small("fine"), Small("unfit")}};
  const auto observer = SubmitRequest(std::move(request));
  EXPECT_TRUE(absl::IsInvalidArgument(observer->WaitForEnd()));
  EXPECT_TRUE(Submit("next")->WaitForEnd().ok());
  EXPECT_EQ(log_->StepsOf("fine"), 0);
  EXPECT_EQ(engine_->snapshot().rejected_total, 1);
}

TEST_F(EngineTest, AnExceptionAtAdmissionIsInternal) {
  pipeline_options_.throwing_prompts = {"throws"};
  Start();
  const absl::Status status = Submit("throws")->WaitForEnd();
  EXPECT_EQ(status.code(), absl::StatusCode::kInternal);
  EXPECT_THAT(std::string(status.message()), Not(HasSubstr("secret")));
  EXPECT_TRUE(Submit("next")->WaitForEnd().ok());
}

TEST_F(EngineTest, AResultThatFailsEndsItsRequestOnly) {
  pipeline_options_.prompts_without_result = {"bad"};
  StartGated();
  Submit("blocker");
  gate_.WaitForArrivals(1);
  const auto bad = Submit("bad");
  const auto good = Submit("good");
  gate_.Open();
  EXPECT_EQ(bad->WaitForEnd().code(), absl::StatusCode::kInternal);
  EXPECT_TRUE(good->WaitForEnd().ok());
}

}  // namespace
}  // namespace kandinsky
