#include "server/generation_record.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <vector>

#include "tests/fakes/fake_pipeline.h"
#include "tests/fakes/step_gate.h"
#include "tests/server/call_environment.h"

namespace kandinsky::server {
namespace {

using testing::ElementsAre;
using testing::IsEmpty;
using testing::SizeIs;

// Keeps what it hears.
class RecordingListener : public GenerationListener {
 public:
  void OnEvent(const v1::GenerateEvent& event) override {
    MutexLock lock(mutex_);
    events_.push_back(event);
    changed_.NotifyAll();
  }
  void OnImage(SharedImage image) override {
    MutexLock lock(mutex_);
    images_.push_back(std::move(image));
    changed_.NotifyAll();
  }
  void OnEnd(const GenerationEnd& end) override {
    MutexLock lock(mutex_);
    ends_.push_back(end);
    changed_.NotifyAll();
  }

  grpc::Status WaitForEnd() {
    MutexLock lock(mutex_);
    while (ends_.empty()) changed_.Wait(mutex_);
    return ends_.front().status;
  }
  void WaitForImage() {
    MutexLock lock(mutex_);
    while (images_.empty()) changed_.Wait(mutex_);
  }
  void WaitForPreviews(size_t count) {
    MutexLock lock(mutex_);
    while (PreviewSteps().size() < count) changed_.Wait(mutex_);
  }
  std::vector<int> preview_steps() {
    MutexLock lock(mutex_);
    return PreviewSteps();
  }
  std::vector<SharedImage> images() {
    MutexLock lock(mutex_);
    return images_;
  }
  void ForgetImages() {
    MutexLock lock(mutex_);
    images_.clear();
  }
  size_t ends() {
    MutexLock lock(mutex_);
    return ends_.size();
  }

 private:
  std::vector<int> PreviewSteps() REQUIRES(mutex_) {
    std::vector<int> steps;
    for (const v1::GenerateEvent& event : events_) {
      if (event.has_preview()) steps.push_back(event.preview().step());
    }
    return steps;
  }

  Mutex mutex_;
  ConditionVariable changed_;
  std::vector<v1::GenerateEvent> events_ GUARDED_BY(mutex_);
  std::vector<SharedImage> images_ GUARDED_BY(mutex_);
  std::vector<GenerationEnd> ends_ GUARDED_BY(mutex_);
};

FinishedImage Finished(int index) {
  FinishedImage finished;
  finished.index = index;
  finished.result.image = FakePipeline::ExpectedImage(1, 8, 8);
  return finished;
}

PreviewImage PreviewAt(int step) {
  return {.image_index = 0, .step = step, .image = FakePipeline::ExpectedImage(1, 4, 4)};
}

class RecordTest : public testing::Test {
 protected:
  explicit RecordTest(size_t codec_capacity = 4) : environment_(1 << 20, codec_capacity) {}

  ~RecordTest() override { codec_gate_.Open(); }

  ByteBudget::Reservation Bytes(int64_t bytes) { return *environment_.budget.TryReserve(bytes); }

  std::shared_ptr<GenerationRecord> Add(const GenerationSpec& spec, int64_t bytes = 0) {
    const auto record = std::make_shared<GenerationRecord>(environment_.context(), spec, listener_);
    environment_.store.FindOrAdd(record);
    EXPECT_TRUE(record->BeginSubmission(Bytes(bytes)));
    return record;
  }

  // Keeps the codec's only thread busy until codec_gate_ opens.
  void HoldCodec() {
    ASSERT_TRUE(environment_.codec.TrySchedule([this] { codec_gate_.Pass(); }));
    codec_gate_.WaitForArrivals(1);
  }

  StepGate codec_gate_;
  CallEnvironment environment_;
  std::shared_ptr<RecordingListener> listener_ = std::make_shared<RecordingListener>();
};

TEST_F(RecordTest, EndsOnlyWhenItsLastImageIsEncoded) {
  HoldCodec();
  const auto record = Add(environment_.Spec("a"));
  record->OnStarted({});
  record->OnImage(Finished(0));
  record->OnFinished(absl::OkStatus(), {});
  EXPECT_EQ(listener_->ends(), 0u);
  EXPECT_EQ(record->state(), v1::GENERATION_STATE_RUNNING);
  codec_gate_.Open();
  EXPECT_TRUE(listener_->WaitForEnd().ok());
  EXPECT_THAT(listener_->images(), SizeIs(1));
}

TEST_F(RecordTest, HoldsNoImageThatNobodyCanAskForAgain) {
  for (const char* body : {"", "body"}) {
    listener_ = std::make_shared<RecordingListener>();
    GenerationSpec spec = environment_.Spec("a", body);
    spec.image_count = 2;
    const auto record = Add(spec);
    record->OnStarted({});
    record->OnImage(Finished(0));
    listener_->WaitForImage();
    EXPECT_THAT(record->images(), SizeIs(spec.joinable() ? 1 : 0));
    listener_->ForgetImages();
    record->OnFinished(absl::InternalError("x"), {});
    listener_->WaitForEnd();
    EXPECT_THAT(record->images(), IsEmpty());
  }
}

TEST_F(RecordTest, CountsAnImageAgainstTheBudgetAsLongAsAnyoneHoldsIt) {
  const auto record = Add(environment_.Spec("drawn", ""), 8 * 8 * 3);
  record->OnStarted({});
  record->OnImage(Finished(0));
  record->OnFinished(absl::OkStatus(), {});
  ASSERT_TRUE(listener_->WaitForEnd().ok());
  EXPECT_EQ(environment_.budget.bytes(), static_cast<int64_t>(listener_->images()[0]->ByteSizeLong()));
  listener_->ForgetImages();  // all parts are sent
  EXPECT_EQ(environment_.budget.bytes(), 0);
}

TEST_F(RecordTest, SendsOnlyTheNewestOfThePreviewsThatWaitForTheCodec) {
  HoldCodec();
  const auto record = Add(environment_.Spec("a"));
  record->OnStarted({});
  record->OnProgress({});
  for (const int step : {1, 2, 3}) record->OnPreview(PreviewAt(step));
  EXPECT_EQ(environment_.codec.queued(), 1u);
  codec_gate_.Open();
  listener_->WaitForPreviews(1);
  record->OnFinished(absl::OkStatus(), {});
  listener_->WaitForEnd();
  EXPECT_THAT(listener_->preview_steps(), ElementsAre(3));
}

// One task may wait for the codec.
class BusyCodecTest : public RecordTest {
 protected:
  BusyCodecTest() : RecordTest(/*codec_capacity=*/1) {}
};

TEST_F(BusyCodecTest, AFullCodecQueueDropsPreviewsAndKeepsImagesWithoutHoldingUpTheCaller) {
  HoldCodec();
  ASSERT_TRUE(environment_.codec.TrySchedule([] {}));
  GenerationSpec spec = environment_.Spec("a");
  spec.image_count = 3;
  const auto record = Add(spec);
  record->OnStarted({});
  record->OnProgress({});
  record->OnPreview(PreviewAt(1));
  for (int i = 0; i < 3; ++i) record->OnImage(Finished(i));  // return although the codec stands still
  EXPECT_THAT(listener_->images(), IsEmpty());               // so none was encoded by the caller
  record->OnFinished(absl::OkStatus(), {});
  codec_gate_.Open();
  EXPECT_TRUE(listener_->WaitForEnd().ok());
  EXPECT_THAT(listener_->images(), SizeIs(3));
  EXPECT_THAT(listener_->preview_steps(), IsEmpty());
}

TEST_F(BusyCodecTest, AnImageWithoutDataNeedsNoCodec) {
  HoldCodec();
  GenerationSpec spec = environment_.Spec("a");
  spec.encoding.format = v1::OUTPUT_FORMAT_NONE;
  const auto record = Add(spec);
  record->OnStarted({});
  record->OnImage(Finished(0));
  record->OnFinished(absl::OkStatus(), {});
  EXPECT_EQ(listener_->ends(), 1u);
  EXPECT_THAT(listener_->images(), SizeIs(1));
  EXPECT_EQ(environment_.codec.queued(), 0u);
}

// With an engine whose steps wait at a gate.
class RecordInEngineTest : public RecordTest {
 protected:
  RecordInEngineTest() {
    FakePipelineOptions pipeline;
    pipeline.on_step = [this](const FakeStep&) { gate_.Pass(); };
    EngineOptions options;
    options.max_batch_rows = 1;
    options.max_active_generations = 1;
    engine_ = std::make_unique<Engine>(options, LoadFake(pipeline, log_), environment_.clock);
    EXPECT_EQ(engine_->WaitUntilReady(), absl::OkStatus());
  }
  ~RecordInEngineTest() override {
    gate_.Open();
    environment_.timer.Stop();
    engine_.reset();
  }

  Submission Submit(const std::shared_ptr<GenerationRecord>& record, size_t images,
                    absl::Time deadline = absl::InfiniteFuture()) {
    GenerationRequest image;
    image.prompt = "cat";
    image.steps = 4;
    image.prior_steps = 3;
    EngineRequest request = {.deadline = deadline};
    request.images.assign(images, image);
    return engine_->Submit(std::move(request), record);
  }

  StepGate gate_;
  const std::shared_ptr<FakePipelineLog> log_ = std::make_shared<FakePipelineLog>();
  std::unique_ptr<Engine> engine_;
};

TEST_F(RecordInEngineTest, AnImageThatCannotBeEncodedEndsTheOthers) {
  GenerationSpec spec = environment_.Spec("a");
  spec.image_count = 2;
  spec.encoding.format = v1::OUTPUT_FORMAT_LATENT;  // the pipeline makes none
  const auto record = Add(spec);
  record->Accepted(*engine_, Submit(record, 2));
  gate_.Allow(1 + 3 + 4 + 1);  // the first image
  EXPECT_EQ(listener_->WaitForEnd().error_code(), grpc::StatusCode::INTERNAL);
  EXPECT_TRUE(record->dead());
  gate_.Open();
  engine_->Drain(absl::InfiniteFuture());
  EXPECT_LE(log_->StepsOf("cat"), 1 + 3 + 4 + 1 + 1);
}

TEST_F(RecordInEngineTest, ACancellationBeforeTheNumberIsKnownTakesEffectWithIt) {
  const auto record = Add(environment_.Spec("a"));
  const Submission submission = Submit(record, 1);
  gate_.WaitForArrivals(1);
  EXPECT_TRUE(record->Cancel());
  EXPECT_EQ(listener_->ends(), 0u);
  record->Accepted(*engine_, submission);
  EXPECT_EQ(listener_->WaitForEnd().error_code(), grpc::StatusCode::CANCELLED);
}

TEST_F(RecordInEngineTest, ALaterDeadlineBeforeTheNumberIsKnownTakesEffectWithIt) {
  GenerationSpec spec = environment_.Spec("a");
  spec.deadline = environment_.clock.Now() + absl::Seconds(5);
  const auto record = Add(spec);
  const Submission submission = Submit(record, 1, spec.deadline);
  gate_.WaitForArrivals(1);
  const auto second = std::make_shared<RecordingListener>();
  EXPECT_TRUE(record->Attach(second, environment_.clock.Now() + absl::Seconds(10)));
  EXPECT_EQ(record->deadline(), environment_.clock.Now() + absl::Seconds(10));
  record->Accepted(*engine_, submission);
  environment_.clock.Advance(absl::Seconds(5));
  gate_.Open();
  EXPECT_TRUE(second->WaitForEnd().ok());
}

TEST_F(RecordInEngineTest, ARequestThatCertainlyFailsIsDeadBeforeItsImagesAreEncoded) {
  HoldCodec();
  GenerationSpec spec = environment_.Spec("a");
  spec.image_count = 2;
  const auto record = Add(spec);
  record->OnStarted({});
  record->OnImage(Finished(0));
  record->OnFinished(absl::InternalError("x"), {});
  EXPECT_EQ(listener_->ends(), 0u);  // the first image is still being encoded
  EXPECT_TRUE(record->dead());
  EXPECT_FALSE(record->Attach(std::make_shared<RecordingListener>(), absl::InfiniteFuture()));
}

TEST_F(RecordInEngineTest, AnEndBeforeTheNumberIsKnownIsHarmless) {
  const auto record = Add(environment_.Spec("a"));
  const Submission submission = Submit(record, 1);
  gate_.Open();
  EXPECT_TRUE(listener_->WaitForEnd().ok());
  record->Accepted(*engine_, submission);
  EXPECT_FALSE(record->Cancel());
  EXPECT_EQ(listener_->ends(), 1u);
}

class RecordInPreparation : public RecordTest {
 protected:
  RecordInPreparation() { environment_.store.FindOrAdd(record_); }

  const std::shared_ptr<GenerationRecord> record_ =
      std::make_shared<GenerationRecord>(environment_.context(), environment_.Spec("a"), listener_);
};

TEST_F(RecordInPreparation, EndsAtOnceWhenItIsCancelled) {
  EXPECT_FALSE(record_->submitted());
  EXPECT_TRUE(record_->Cancel());
  EXPECT_EQ(listener_->WaitForEnd().error_code(), grpc::StatusCode::CANCELLED);
  EXPECT_FALSE(record_->BeginSubmission(Bytes(100))) << "nothing may be submitted any more";
  EXPECT_EQ(environment_.store.live(), 0);
  EXPECT_FALSE(record_->Cancel());
}

TEST_F(RecordInPreparation, EndsWhenItsLastListenerLeaves) {
  EXPECT_TRUE(record_->Detach(*listener_));
  EXPECT_FALSE(record_->wanted());
  EXPECT_FALSE(record_->BeginSubmission(Bytes(100)));
  EXPECT_EQ(environment_.store.live(), 0);
}

TEST_F(RecordInPreparation, TakesNoBytesOnceItHasEnded) {
  EXPECT_TRUE(record_->Cancel());
  EXPECT_FALSE(record_->BeginSubmission(Bytes(100)));
  EXPECT_EQ(environment_.budget.bytes(), 4) << "its body alone";
}

TEST_F(RecordInPreparation, HoldsTheBytesThatItIsGiven) {
  EXPECT_TRUE(record_->BeginSubmission(Bytes(40)));
  EXPECT_EQ(environment_.budget.bytes(), 40);
}

}  // namespace
}  // namespace kandinsky::server
