#include "server/work_submission.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "tests/fakes/fake_pipeline.h"
#include "tests/fakes/step_gate.h"
#include "tests/server/call_environment.h"

namespace kandinsky::server {
namespace {

using testing::ElementsAre;

// Keeps what it is told.
class RecordingOwner : public WorkOwner {
 public:
  bool BeginSubmission(ByteBudget::Reservation bytes) override {
    if (!ticket_.BeginSubmission()) return false;
    MutexLock lock(mutex_);
    bytes_ = std::move(bytes);
    return true;
  }
  bool wanted() const override { return wanted_; }
  absl::Time deadline() const override { return absl::FromUnixSeconds(deadline_); }
  void Accepted(Engine& engine, const Submission& submission) override {
    ticket_.Accepted(engine, submission.number);
  }
  void Refused(const grpc::Status& status) override { End(status); }
  void OnQueued(const QueueStatus&) override {}
  void OnStarted(const StartedInfo&) override {}
  void OnProgress(const ProgressUpdate&) override {}
  void OnPreview(PreviewImage) override {}
  void OnImage(FinishedImage) override {}
  void OnFinished(const absl::Status& status, const GenerationStatistics&) override {
    ticket_.Ended();
    End(status.ok() ? grpc::Status::OK : grpc::Status(grpc::StatusCode::CANCELLED, "ended by the engine"));
  }

  grpc::Status WaitForEnd() EXCLUDES(mutex_) {
    MutexLock lock(mutex_);
    while (ends_.empty()) changed_.Wait(mutex_);
    EXPECT_EQ(ends_.size(), 1u);
    return ends_.front();
  }
  // True when the caller has to end the work.
  bool Cancel() {
    wanted_ = false;
    return ticket_.Cancel();
  }
  void SetDeadline(absl::Time deadline) { deadline_ = absl::ToUnixSeconds(deadline); }
  int64_t bytes() EXCLUDES(mutex_) {
    MutexLock lock(mutex_);
    return bytes_.bytes();
  }

 private:
  void End(const grpc::Status& status) EXCLUDES(mutex_) {
    MutexLock lock(mutex_);
    ends_.push_back(status);
    changed_.NotifyAll();
  }

  WorkTicket ticket_;
  std::atomic<bool> wanted_ = true;
  std::atomic<int64_t> deadline_ = int64_t{1} << 40;
  Mutex mutex_;
  ConditionVariable changed_;
  ByteBudget::Reservation bytes_ GUARDED_BY(mutex_);
  std::vector<grpc::Status> ends_ GUARDED_BY(mutex_);
};

class WorkSubmissionTest : public testing::Test {
 protected:
  explicit WorkSubmissionTest(const EngineOptions& options = {}, bool gated = false)
      : environment_(1 << 20, /*codec_capacity=*/2) {
    if (!gated) step_gate_.Open();
    FakePipelineOptions pipeline;
    pipeline.on_step = [this](const FakeStep&) { step_gate_.Pass(); };
    engine_ = std::make_unique<Engine>(options, LoadFake(pipeline, log_), environment_.clock);
    EXPECT_EQ(engine_->WaitUntilReady(), absl::OkStatus());
  }

  ~WorkSubmissionTest() override {
    codec_gate_.Open();
    step_gate_.Open();
  }

  // Keeps the codec's only thread busy until codec_gate_ opens.
  void HoldCodec() {
    ASSERT_TRUE(environment_.codec.TrySchedule([this] { codec_gate_.Pass(); }));
    codec_gate_.WaitForArrivals(1);
  }

  // An input that notes that it was prepared, and ends with `status`.
  RequestInput Input(const std::string& field, absl::Status status = absl::OkStatus()) {
    return {.field = field,
            .passing_bytes = 1000,
            .kept_bytes = 30,
            .prepare = [this, field, status](std::vector<GenerationRequest>& requests) {
              prepared_.push_back(field);
              for (GenerationRequest& request : requests) request.prompt += "+" + field;
              return status;
            }};
  }

  Work WorkWith(std::vector<RequestInput> inputs) {
    Work work;
    work.request.images.resize(1);
    work.request.images[0].prompt = "cat";
    work.request.images[0].steps = 2;
    work.inputs = std::move(inputs);
    work.message_bytes = 100;
    work.result_bytes = 7;
    return work;
  }

  void Submit(Work work) { Submit(std::move(work), owner_); }
  void Submit(Work work, std::shared_ptr<RecordingOwner> owner) {
    SubmitWork(environment_.context(), *engine_, std::move(work), std::move(owner));
  }

  StepGate codec_gate_;
  StepGate step_gate_;
  CallEnvironment environment_;
  const std::shared_ptr<FakePipelineLog> log_ = std::make_shared<FakePipelineLog>();
  std::vector<std::string> prepared_;  // by the codec's thread
  const std::shared_ptr<RecordingOwner> owner_ = std::make_shared<RecordingOwner>();
  std::unique_ptr<Engine> engine_;  // ends before what its events use
};

TEST_F(WorkSubmissionTest, PreparesTheInputsInOrderBeforeTheEngineSeesTheRequest) {
  Submit(WorkWith({Input("a"), Input("b")}));
  EXPECT_TRUE(owner_->WaitForEnd().ok());
  EXPECT_THAT(prepared_, ElementsAre("a", "b"));
  EXPECT_EQ(log_->requests().front().prompt, "cat+a+b");
}

TEST_F(WorkSubmissionTest, HoldsTheBytesOfMessageDecodingAndResults) {
  HoldCodec();
  Submit(WorkWith({Input("a"), Input("b")}));
  EXPECT_EQ(environment_.budget.bytes(), 100 + 7 + 2 * 30 + 1000);
  codec_gate_.Open();
  EXPECT_TRUE(owner_->WaitForEnd().ok());
  EXPECT_EQ(owner_->bytes(), 7 + 2 * 30) << "what decoding took is given back";
  EXPECT_EQ(environment_.budget.bytes(), owner_->bytes());
}

TEST_F(WorkSubmissionTest, HoldsTheBytesOfCancelledWorkAsLongAsItsMessage) {
  HoldCodec();
  Submit(WorkWith({Input("a")}));
  EXPECT_TRUE(owner_->Cancel());
  owner_->Refused(grpc::Status::CANCELLED);
  EXPECT_EQ(environment_.budget.bytes(), 100 + 7 + 30 + 1000) << "the message waits for the codec";
  codec_gate_.Open();
  while (environment_.budget.bytes() > 0) std::this_thread::yield();
}

TEST_F(WorkSubmissionTest, TakesTurnsWithTheInputsOfOthers) {
  HoldCodec();
  const auto other = std::make_shared<RecordingOwner>();
  Submit(WorkWith({Input("a1"), Input("a2"), Input("a3")}));
  Submit(WorkWith({Input("b1"), Input("b2")}), other);
  codec_gate_.Open();
  EXPECT_TRUE(owner_->WaitForEnd().ok());
  EXPECT_TRUE(other->WaitForEnd().ok());
  EXPECT_THAT(prepared_, ElementsAre("a1", "b1", "a2", "b2", "a3"));
}

TEST_F(WorkSubmissionTest, ReachesTheEngineBeforeADrainThatWaitsForIt) {
  HoldCodec();
  Submit(WorkWith({Input("a")}));
  std::thread drain([this] {
    environment_.serving.WaitUntilArrived(environment_.clock, absl::InfiniteFuture());
    engine_->Drain(absl::InfiniteFuture());
  });
  codec_gate_.Open();
  drain.join();
  EXPECT_TRUE(owner_->WaitForEnd().ok());
}

TEST_F(WorkSubmissionTest, OfAnEngineThatEndsIsNotDecoded) {
  engine_->Drain(absl::InfinitePast());
  Submit(WorkWith({Input("a")}));
  EXPECT_EQ(ErrorReason(owner_->WaitForEnd()), "SHUTTING_DOWN");
  EXPECT_TRUE(prepared_.empty());
}

class FullQueueTest : public WorkSubmissionTest {
 protected:
  FullQueueTest() : WorkSubmissionTest({.max_queued_requests = 1, .max_active_generations = 1}, true) {}
};

TEST_F(FullQueueTest, RefusesBeforeAnythingIsDecoded) {
  const auto running = std::make_shared<RecordingOwner>();
  const auto waiting = std::make_shared<RecordingOwner>();
  Submit(WorkWith({}), running);
  step_gate_.WaitForArrivals(1);
  Submit(WorkWith({}), waiting);
  Submit(WorkWith({Input("a")}));
  EXPECT_EQ(ErrorReason(owner_->WaitForEnd()), "QUEUE_FULL");
  EXPECT_TRUE(prepared_.empty());
  EXPECT_EQ(engine_->snapshot().rejected_total, 1);
  step_gate_.Open();
  EXPECT_TRUE(running->WaitForEnd().ok());
  EXPECT_TRUE(waiting->WaitForEnd().ok());
}

TEST_F(WorkSubmissionTest, SubmitsNothingWhenTheClientIsGoneBeforeDecoding) {
  HoldCodec();
  Submit(WorkWith({Input("a")}));
  EXPECT_TRUE(owner_->Cancel()) << "nobody else ends it";
  codec_gate_.Open();
  while (environment_.codec.queued() > 0) std::this_thread::yield();
  owner_->Refused(grpc::Status::CANCELLED);
  EXPECT_EQ(owner_->WaitForEnd().error_code(), grpc::StatusCode::CANCELLED);
  EXPECT_EQ(log_->admitted(), 0);
}

TEST_F(WorkSubmissionTest, StopsDecodingWhenTheClientGoesMeanwhile) {
  RequestInput leaving = Input("a");
  leaving.prepare = [this](std::vector<GenerationRequest>&) {
    EXPECT_TRUE(owner_->Cancel());
    owner_->Refused(grpc::Status::CANCELLED);
    return absl::OkStatus();
  };
  Submit(WorkWith({leaving, Input("b")}));
  EXPECT_EQ(owner_->WaitForEnd().error_code(), grpc::StatusCode::CANCELLED);
  while (environment_.codec.queued() > 0) std::this_thread::yield();
  EXPECT_EQ(log_->admitted(), 0);
}

TEST_F(WorkSubmissionTest, SubmitsNothingWhenTheDeadlinePassesInTheCodecsQueue) {
  HoldCodec();
  owner_->SetDeadline(environment_.clock.Now() + absl::Seconds(1));
  Submit(WorkWith({Input("a")}));
  environment_.clock.Advance(absl::Seconds(1));
  codec_gate_.Open();
  EXPECT_EQ(owner_->WaitForEnd().error_code(), grpc::StatusCode::DEADLINE_EXCEEDED);
  EXPECT_EQ(log_->admitted(), 0);
}

TEST_F(WorkSubmissionTest, ADeadlineThatMovesMeanwhileCounts) {
  HoldCodec();
  owner_->SetDeadline(environment_.clock.Now() + absl::Seconds(1));
  Submit(WorkWith({Input("a")}));
  environment_.clock.Advance(absl::Seconds(1));
  owner_->SetDeadline(environment_.clock.Now() + absl::Seconds(60));
  codec_gate_.Open();
  EXPECT_TRUE(owner_->WaitForEnd().ok());
}

TEST_F(WorkSubmissionTest, AFullCodecQueueIsToldAtOnceWithARetryDelay) {
  HoldCodec();
  for (int i = 0; i < 2; ++i) ASSERT_TRUE(environment_.codec.TrySchedule([] {}));
  Submit(WorkWith({Input("a")}));
  const grpc::Status status = owner_->WaitForEnd();
  EXPECT_EQ(status.error_code(), grpc::StatusCode::RESOURCE_EXHAUSTED);
  EXPECT_EQ(ErrorReason(status), "DECODE_QUEUE_FULL");
  EXPECT_TRUE(RetryDelay(status).has_value());
}

TEST_F(WorkSubmissionTest, WorkWithoutInputsDoesNotWaitForTheCodec) {
  HoldCodec();
  Submit(WorkWith({}));
  EXPECT_TRUE(owner_->WaitForEnd().ok());
}

TEST_F(WorkSubmissionTest, ADamagedInputEndsTheWorkWithItsField) {
  Submit(WorkWith({Input("a"), Input("b", absl::InvalidArgumentError("it is damaged")), Input("c")}));
  const grpc::Status status = owner_->WaitForEnd();
  EXPECT_EQ(status.error_code(), grpc::StatusCode::INVALID_ARGUMENT);
  EXPECT_THAT(status.error_details(), testing::HasSubstr("it is damaged"));
  EXPECT_THAT(prepared_, ElementsAre("a", "b"));
  EXPECT_EQ(log_->admitted(), 0);
}

TEST_F(WorkSubmissionTest, MemoryThatRunsOutWhileDecodingIsResourceExhausted) {
  Submit(WorkWith({Input("a", absl::ResourceExhaustedError("no memory"))}));
  EXPECT_EQ(owner_->WaitForEnd().error_code(), grpc::StatusCode::RESOURCE_EXHAUSTED);
  EXPECT_THAT(environment_.metrics.Text(),
              testing::HasSubstr("kandinsky_image_decode_rejected_total{reason=\"memory\"} 1"));
}

TEST_F(WorkSubmissionTest, AnInternalErrorIsNotCountedAsADamagedImage) {
  Submit(WorkWith({Input("a", absl::InternalError("x"))}));
  EXPECT_EQ(owner_->WaitForEnd().error_code(), grpc::StatusCode::INTERNAL);
  EXPECT_THAT(environment_.metrics.Text(),
              testing::AllOf(testing::HasSubstr("decode_rejected_total{"),
                             testing::Not(testing::ContainsRegex("decode_rejected_total.[^}]*. [1-9]"))));
}

TEST_F(WorkSubmissionTest, AnExceptionWhileDecodingIsAnInternalError) {
  RequestInput throwing = Input("a");
  throwing.prepare = [](std::vector<GenerationRequest>&) -> absl::Status {
    throw std::runtime_error("secret text of the exception");
  };
  Submit(WorkWith({throwing}));
  const grpc::Status status = owner_->WaitForEnd();
  EXPECT_EQ(status.error_code(), grpc::StatusCode::INTERNAL);
  EXPECT_THAT(status.error_details(), testing::Not(testing::HasSubstr("secret")));
}

TEST_F(WorkSubmissionTest, WhatExceedsTheByteBudgetIsNotDecoded) {
  RequestInput large = Input("a");
  large.passing_bytes = 2 << 20;
  Submit(WorkWith({large}));
  EXPECT_EQ(ErrorReason(owner_->WaitForEnd()), "BYTES_IN_FLIGHT");
  EXPECT_TRUE(prepared_.empty());
}

}  // namespace
}  // namespace kandinsky::server
