// A step that runs out of memory leaves every sample of its batch as it was: a retry gives the same
// image.
#include <c10/core/CPUAllocator.h>
#include <c10/util/Exception.h>
#include <gtest/gtest.h>

#include <atomic>
#include <memory>
#include <string>
#include <vector>

#include "tests/pipeline/kandinsky22/networks/pipeline_test_support.h"

namespace kandinsky {
namespace {

// Passes on to the allocator before it, but fails the allocation with the chosen number.
class FailingAllocator final : public c10::Allocator {
 public:
  FailingAllocator() : inner_(c10::GetCPUAllocator()) { c10::SetCPUAllocator(this, kPriority); }
  ~FailingAllocator() override { c10::SetCPUAllocator(inner_, kPriority); }

  // Counts from 0 at this call; negative: none.
  void FailAllocation(int64_t number) {
    count_ = 0;
    failing_ = number;
  }

  c10::DataPtr allocate(size_t bytes) override {
    TORCH_CHECK(bytes == 0 || count_++ != failing_, "DefaultCPUAllocator: can't allocate memory: ", bytes,
                " bytes");
    return inner_->allocate(bytes);
  }
  c10::DeleterFnPtr raw_deleter() const override { return inner_->raw_deleter(); }
  void copy_data(void* destination, const void* source, size_t count) const override {
    default_copy_data(destination, source, count);
  }

 private:
  static constexpr uint8_t kPriority = 255;

  c10::Allocator* const inner_;
  std::atomic<int64_t> count_ = 0;
  std::atomic<int64_t> failing_ = -1;
};

std::string Describe(const Sample& sample) {
  const StageProgress progress = sample.progress();
  return std::string(StageName(progress.stage)) + " " + std::to_string(progress.step);
}

// Steps the batch until all are done. In each step every `stride`-th allocation is made to fail once.
void RunWithFailures(LoadedPipeline& pipeline, FailingAllocator& allocator, absl::Span<Sample* const> batch,
                     int64_t stride, int& failures) {
  while (batch.front()->stage() != Stage::kDone) {
    std::vector<std::string> before;
    for (const Sample* sample : batch) before.push_back(Describe(*sample));
    absl::Status status;
    for (int64_t failing = 0;; failing += stride) {
      allocator.FailAllocation(failing);
      status = pipeline.Step(batch);
      allocator.FailAllocation(-1);
      if (status.ok()) break;  // the step allocates less often than that
      ++failures;
      ASSERT_EQ(status.code(), absl::StatusCode::kResourceExhausted) << status;
      for (size_t i = 0; i < batch.size(); ++i) {
        ASSERT_EQ(Describe(*batch[i]), before[i]) << "allocation " << failing;
      }
    }
  }
}

TEST(StepAtomicityTest, RetriesAfterOutOfMemoryGiveTheSameImage) {
  const auto pipeline = LoadGoldenPipeline();
  GenerationRequest first = TinyRequest(10);
  first.steps = 2;
  first.prior_steps = 2;
  GenerationRequest second = first;
  second.seed = 11;
  second.negative_prompt = "low quality";
  auto a = pipeline->Admit(first);
  auto b = pipeline->Admit(second);
  ASSERT_TRUE(a.ok() && b.ok());
  const std::vector<Sample*> batch = {a->get(), b->get()};
  int failures = 0;
  {
    FailingAllocator allocator;
    RunWithFailures(*pipeline, allocator, batch, 7, failures);
  }
  EXPECT_GT(failures, 100);
  for (auto& [sample, request] : {std::pair{a->get(), first}, {b->get(), second}}) {
    ASSERT_EQ(sample->stage(), Stage::kDone);
    const auto result = sample->TakeResult();
    ASSERT_TRUE(result.ok()) << result.status();
    EXPECT_TRUE(SameBits(*result, RunAlone(*pipeline, request)));
    EXPECT_TRUE(result->image.has_value());
  }
}

TEST(StepAtomicityTest, HoldsForEveryTask) {
  const std::vector<Task> networks = {TextToImage{}, Inpaint{}, ControlNet{}};
  for (const Task& task : networks) {
    const auto pipeline = LoadGoldenPipelineFor(task);
    for (const GenerationRequest& request : TinyTaskRequests(pipeline->capabilities())) {
      SCOPED_TRACE(std::string(TaskName(request.task)) + " " + std::to_string(request.seed));
      auto admitted = pipeline->Admit(request);
      ASSERT_TRUE(admitted.ok()) << admitted.status();
      const std::vector<Sample*> batch = {admitted->get()};
      int failures = 0;
      {
        FailingAllocator allocator;
        RunWithFailures(*pipeline, allocator, batch, 29, failures);
      }
      EXPECT_GT(failures, 0);
      const auto result = (*admitted)->TakeResult();
      ASSERT_TRUE(result.ok()) << result.status();
      EXPECT_TRUE(SameBits(*result, RunAlone(*pipeline, request)));
    }
  }
}

}  // namespace
}  // namespace kandinsky
