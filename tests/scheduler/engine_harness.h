#pragma once

#include <gtest/gtest.h>

#include <map>
#include <memory>
#include <string>
#include <vector>

#include "scheduler/engine.h"
#include "tests/fakes/fake_clock.h"
#include "tests/fakes/fake_pipeline.h"
#include "tests/fakes/recording_observer.h"
#include "tests/fakes/step_gate.h"

namespace kandinsky {

// An engine over FakePipelines and a FakeClock. At its end every observer must have been told exactly one
// end, and no sample may be left.
class EngineTest : public testing::Test {
 protected:
  // Starts the engine with `options_` and `pipeline_options_`, and waits until it is ready.
  void Start(int workers = 1) {
    options_.queue_status_interval = absl::ZeroDuration();
    engine_ = std::make_unique<Engine>(options_, LoadFake(pipeline_options_, log_, workers), clock_);
    ASSERT_TRUE(engine_->WaitUntilReady().ok());
  }

  // As Start, with a worker that stops in each step until `gate_` lets it through.
  void StartGated() {
    pipeline_options_.on_step = [this](const FakeStep&) { gate_.Pass(); };
    Start();
  }

  // A small request of one image: encode, 2 prior steps, 3 denoise steps, decode; 7 steps in all.
  static GenerationRequest Small(const std::string& prompt) {
    GenerationRequest request;
    request.prompt = prompt;
    request.prior_steps = 2;
    request.steps = 3;
    request.seed = std::hash<std::string>()(prompt);
    return request;
  }
  static constexpr int kSmallSteps = 7;

  // Submits one request whose prompt is `name`; it must be accepted.
  std::shared_ptr<RecordingObserver> Submit(const std::string& name, int images = 1,
                                            absl::Time deadline = absl::InfiniteFuture()) {
    EngineRequest request = {.deadline = deadline};
    for (int i = 0; i < images; ++i) {
      request.images.push_back(Small(name));
      request.images.back().seed += static_cast<uint64_t>(i);
    }
    return SubmitRequest(std::move(request));
  }

  // Submits a request that must be accepted. Its name is the prompt of its first image.
  std::shared_ptr<RecordingObserver> SubmitRequest(EngineRequest request) {
    auto observer = std::make_shared<RecordingObserver>();
    const std::string name = request.images.front().prompt;
    const Submission submission = engine_->Submit(std::move(request), observer);
    EXPECT_TRUE(submission.status.ok()) << submission.status;
    if (submission.status.ok()) observers_.push_back(observer);
    numbers_[name] = submission.number;
    return observer;
  }

  // Submits a request that may be refused; it must not end later than the test.
  absl::Status TrySubmit(EngineRequest request, std::shared_ptr<GenerationObserver> observer) {
    return engine_->Submit(std::move(request), std::move(observer)).status;
  }

  // Cancels the last request of that name.
  absl::Status Cancel(const std::string& name) { return engine_->Cancel(numbers_.at(name)); }

  // Extends the deadline of the last request of that name.
  absl::Status ExtendDeadline(const std::string& name, absl::Time deadline) {
    return engine_->ExtendDeadline(numbers_.at(name), deadline);
  }

  void TearDown() override {
    gate_.Open();
    engine_.reset();
    for (const std::shared_ptr<RecordingObserver>& observer : observers_) {
      EXPECT_TRUE(observer->finished());
      EXPECT_EQ(observer->breaches(), std::vector<std::string>());
    }
    EXPECT_EQ(log_->live_generations(), 0);
  }

  // Rows of the steps that were made, failed ones included, in order.
  std::vector<size_t> Rows() const {
    std::vector<size_t> rows;
    for (const FakeStep& step : log_->steps()) rows.push_back(step.members.size());
    return rows;
  }

  FakeClock clock_;
  StepGate gate_;
  EngineOptions options_;
  FakePipelineOptions pipeline_options_;
  std::shared_ptr<FakePipelineLog> log_ = std::make_shared<FakePipelineLog>();
  std::unique_ptr<Engine> engine_;
  std::vector<std::shared_ptr<RecordingObserver>> observers_;
  std::map<std::string, RequestNumber> numbers_;
};

}  // namespace kandinsky
