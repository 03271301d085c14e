// A step of a whole batch: what every image gets is what it gets alone.
#include "pipeline/samplers/batch_step.h"

#include <ATen/ATen.h>
#include <ATen/CPUGeneratorImpl.h>
#include <ATen/Parallel.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <memory>
#include <stdexcept>
#include <utility>
#include <vector>

#include "pipeline/samplers/decoder_sampler.h"
#include "tests/pipeline/samplers/published_sampler_configs.h"
#include "tests/pipeline/samplers/step_alone.h"

namespace kandinsky {
namespace {

using ::testing::ElementsAre;

SamplerConfig DecoderConfig() {
  SamplerConfig config = PublishedDecoderConfig();
  config.clip_sample = true;
  return config;
}

SamplerConfig PriorConfig() {
  SamplerConfig config = PublishedPriorConfig();
  config.clip_sample_range = 2.0f;
  return config;
}

bool SameBits(const torch::Tensor& a, const torch::Tensor& b) {
  return torch::equal(a.contiguous().view(torch::kInt32), b.contiguous().view(torch::kInt32));
}

// An image with a sampler and random numbers of its own; the same `seed` gives the same image again.
class TestImage {
 public:
  TestImage(std::unique_ptr<Sampler> sampler, std::vector<int64_t> shape, uint64_t seed, int first = 0)
      : sampler_(std::move(sampler)),
        generator_(at::detail::createCPUGenerator(seed)),
        seed_(seed),
        index_(first),
        sample_(Draw(std::move(shape))) {}

  SampledRows rows() {
    return {sampler_.get(), index_, [this] { return Draw(sample_.sizes().vec()); }, sample_.size(0)};
  }

  // What the network says about the running step: numbers that depend on the image alone.
  torch::Tensor Output() const {
    at::Generator generator = at::detail::createCPUGenerator(1000 * seed_ + static_cast<uint64_t>(index_));
    std::vector<int64_t> shape = sample_.sizes().vec();
    if (shape.size() > 2) shape[1] *= 2;
    return torch::randn(shape, generator, torch::kFloat32);
  }

  bool done() const { return index_ == sampler_->step_count(); }
  const torch::Tensor& sample() const { return sample_; }
  int draws() const { return draws_; }
  void FailNextDraw() { fails_ = true; }

  at::Generator SaveRandomness() const { return generator_.clone(); }
  void RestoreRandomness(const at::Generator& saved) { generator_ = saved; }

  void Finish(torch::Tensor next) {
    sample_ = std::move(next);
    sampler_->Commit();
    ++index_;
  }

 private:
  torch::Tensor Draw(std::vector<int64_t> shape) {
    if (std::exchange(fails_, false)) throw std::runtime_error("no memory for noise");
    ++draws_;
    return torch::randn(shape, generator_, torch::kFloat32);
  }

  const std::unique_ptr<Sampler> sampler_;
  at::Generator generator_;
  const uint64_t seed_;
  int index_;
  int draws_ = 0;
  bool fails_ = false;
  torch::Tensor sample_;
};

using TestImages = std::vector<std::unique_ptr<TestImage>>;

std::vector<torch::Tensor> ComputeStep(const std::vector<TestImage*>& images) {
  std::vector<SampledRows> rows;
  std::vector<torch::Tensor> outputs;
  std::vector<torch::Tensor> samples;
  std::vector<int64_t> counts;
  for (TestImage* image : images) {
    rows.push_back(image->rows());
    outputs.push_back(image->Output());
    samples.push_back(image->sample());
    counts.push_back(rows.back().count);
  }
  const torch::Tensor sample = at::cat(samples);
  const torch::Tensor output = at::cat(outputs);
  const int64_t channels = sample.size(1);
  NetworkOutput split{.prediction = output.narrow(1, 0, channels), .variance = {}};
  if (output.size(1) > channels) split.variance = output.narrow(1, channels, channels);
  return StepBatch(rows, split, sample).split_with_sizes(counts);
}

void Step(const std::vector<TestImage*>& images) {
  std::vector<torch::Tensor> next = ComputeStep(images);
  for (size_t i = 0; i < images.size(); ++i) images[i]->Finish(std::move(next[i]));
}

TestImages EveryKind(const std::vector<int64_t>& shape) {
  TestImages images;
  uint64_t seed = 0;
  const auto add = [&](SamplerKind kind, int steps, SamplerConfig config, float eta = 0.0f, int first = 0) {
    auto sampler = MakeDecoderSampler(kind, config, {.steps = steps, .eta = eta});
    EXPECT_TRUE(sampler.ok()) << sampler.status();
    images.push_back(std::make_unique<TestImage>(*std::move(sampler), shape, ++seed, first));
  };
  const SamplerConfig clipped = DecoderConfig();
  SamplerConfig plain = clipped;
  plain.clip_sample = false;
  SamplerConfig clean = plain;
  clean.prediction_type = "sample";
  for (const int steps : {4, 7}) {
    add(SamplerKind::kDdpm, steps, clipped);
    add(SamplerKind::kDdpm, steps, plain);
    add(SamplerKind::kDdpmLearnedRange, steps, plain);
    add(SamplerKind::kDdim, steps, plain);
    add(SamplerKind::kDdim, steps, clean, 0.7f);
    add(SamplerKind::kEuler, steps, plain);
    add(SamplerKind::kEuler, steps, clean, 0.0f, 2);
    add(SamplerKind::kEulerAncestral, steps, plain);
    add(SamplerKind::kDpmSolverMultistep, steps, plain);
    add(SamplerKind::kDpmSolverMultistep, steps, clean, 0.0f, 1);
    add(SamplerKind::kDpmSolverMultistep, steps + 1, plain);
  }
  return images;
}

TestImages PriorRuns() {
  TestImages images;
  uint64_t seed = 0;
  for (const auto& [steps, rows] : {std::pair{5, 1}, {3, 2}, {5, 3}, {2, 1}}) {
    images.push_back(std::make_unique<TestImage>(*MakeUnclipSampler(PriorConfig(), steps),
                                                 std::vector<int64_t>{rows, 37}, ++seed));
  }
  return images;
}

void RunAlone(TestImage& image) {
  while (!image.done()) Step({&image});
}

// Image i joins in round i mod 3, so that the rows of a batch stand at different steps.
void RunTogether(TestImages& images) {
  for (size_t round = 0;; ++round) {
    std::vector<TestImage*> batch;
    for (size_t i = 0; i < images.size(); ++i) {
      if (round >= i % 3 && !images[i]->done()) batch.push_back(images[i].get());
    }
    if (batch.empty()) return;
    Step(batch);
  }
}

void ExpectSame(const TestImages& actual, const TestImages& expected) {
  for (size_t i = 0; i < actual.size(); ++i) {
    EXPECT_TRUE(SameBits(actual[i]->sample(), expected[i]->sample())) << "image " << i;
    EXPECT_EQ(actual[i]->draws(), expected[i]->draws()) << "image " << i;
  }
}

TEST(StepBatchTest, MixOfAllKindsAtDifferentStepsHasTheBitsOfEachAlone) {
  for (const int threads : {1, 2}) {
    at::set_num_threads(threads);
    for (const int64_t side : {7, 96}) {  // no whole number of vectors, and enough for several threads
      TestImages together = EveryKind({1, 4, side, side});
      TestImages alone = EveryKind({1, 4, side, side});
      RunTogether(together);
      for (auto& image : alone) RunAlone(*image);
      ExpectSame(together, alone);
    }
  }
}

TEST(StepBatchTest, ImagesOfSeveralRowsHaveTheBitsOfEachAlone) {
  TestImages together = PriorRuns();
  TestImages alone = PriorRuns();
  RunTogether(together);
  for (auto& image : alone) RunAlone(*image);
  ExpectSame(together, alone);
}

TEST(StepBatchTest, RetryInSmallerBatchesAfterAFailureLeavesNoTrace) {
  TestImages images = EveryKind({1, 4, 6, 5});
  TestImages expected = EveryKind({1, 4, 6, 5});
  std::vector<TestImage*> batch;
  for (auto& image : images) batch.push_back(image.get());
  for (int step = 0; step < 4; ++step) {
    std::vector<at::Generator> saved;
    for (const TestImage* image : batch) saved.push_back(image->SaveRandomness());
    const auto restore = [&] {
      for (size_t i = 0; i < batch.size(); ++i) batch[i]->RestoreRandomness(saved[i].clone());
    };
    ComputeStep(batch);  // computed, but never committed
    restore();
    batch[2]->FailNextDraw();  // a sampler that always draws
    EXPECT_THROW(ComputeStep(batch), std::runtime_error);
    restore();
    for (size_t first = 0; first < batch.size(); first += 5) {
      const size_t last = std::min(first + 5, batch.size());
      Step({batch.begin() + static_cast<ptrdiff_t>(first), batch.begin() + static_cast<ptrdiff_t>(last)});
    }
    batch.erase(std::remove_if(batch.begin(), batch.end(), [](TestImage* image) { return image->done(); }),
                batch.end());
    for (auto& image : expected) {
      if (!image->done()) Step({image.get()});
    }
  }
  for (size_t i = 0; i < images.size(); ++i) {
    EXPECT_TRUE(SameBits(images[i]->sample(), expected[i]->sample())) << "image " << i;
  }
}

TEST(StepBatchTest, NoiseIsDrawnInTheOrderOfTheBatchOncePerImageThatNeedsIt) {
  const SamplerConfig config = DecoderConfig();
  std::vector<std::unique_ptr<Sampler>> samplers;
  samplers.push_back(*MakeDdpmSampler(config, 5));
  samplers.push_back(*MakeDdimSampler(config, 5, 0.0f));
  samplers.push_back(*MakeEulerAncestralSampler(config, 5));
  samplers.push_back(*MakeDdimSampler(config, 5, 1.0f));
  samplers.push_back(*MakeDdpmSampler(config, 9));
  std::vector<int> drawn;
  std::vector<SampledRows> rows;
  for (int i = 0; i < 5; ++i) {
    const auto draw = [&drawn, i] {
      drawn.push_back(i);
      return torch::randn({1, 4, 2, 2});
    };
    rows.push_back({samplers[static_cast<size_t>(i)].get(), i % 2, draw});
  }
  const torch::Tensor sample = torch::randn({5, 4, 2, 2});
  StepBatch(rows, {.prediction = torch::randn({5, 4, 2, 2}), .variance = {}}, sample);
  EXPECT_THAT(drawn, ElementsAre(0, 2, 3, 4));
}

TEST(StepBatchTest, ChangesNeitherSampleNorOutputNorNoise) {
  TestImages images = EveryKind({1, 4, 3, 3});
  for (auto& image : images) {
    const torch::Tensor output = image->Output();
    const torch::Tensor sample = image->sample().clone();
    const torch::Tensor noise = torch::randn(sample.sizes());
    const torch::Tensor noise_before = noise.clone();
    SampledRows rows = image->rows();
    rows.noise = [&] { return noise; };
    StepBatch({&rows, 1}, {output.narrow(1, 0, 4), output.narrow(1, 4, 4)}, image->sample());
    EXPECT_TRUE(SameBits(image->sample(), sample));
    EXPECT_TRUE(SameBits(output, image->Output()));
    EXPECT_TRUE(SameBits(noise, noise_before));
  }
}

// Memory of the meta device has no numbers; operations refuse it beside memory of the CPU, as a GPU's.
TEST(StepBatchTest, EverythingIsOnTheDeviceOfTheSample) {
  TestImages images = EveryKind({1, 4, 3, 3});
  for (int step = 0; step < 2; ++step) {
    std::vector<SampledRows> rows;
    for (auto& image : images) rows.push_back(image->rows());
    const auto on_device = torch::TensorOptions().device(at::kMeta).dtype(torch::kHalf);
    const auto count = static_cast<int64_t>(images.size());
    const torch::Tensor output = torch::empty({count, 4, 3, 3}, on_device);
    const torch::Tensor next = StepBatch(rows, {output, output}, torch::empty_like(output));
    EXPECT_TRUE(next.is_meta());
    EXPECT_EQ(next.scalar_type(), torch::kHalf);
    EXPECT_EQ(next.sizes(), output.sizes());
    for (auto& image : images) image->Finish(image->sample());
  }
}

TEST(StepBatchTest, NarrowSamplesAreRoundedOnceAndWideOnesKeepTheirPrecision) {
  for (auto& image : EveryKind({1, 4, 5, 3})) {
    const torch::Tensor output = image->Output().to(torch::kHalf);
    const torch::Tensor sample = image->sample().to(torch::kHalf);
    const torch::Tensor noise = torch::randn({1, 4, 5, 3});
    const auto step = [&](at::ScalarType dtype) {
      SampledRows rows = image->rows();
      rows.noise = [&] { return noise; };
      const torch::Tensor typed = output.to(dtype);
      return StepBatch({&rows, 1}, {typed.narrow(1, 0, 4), typed.narrow(1, 4, 4)}, sample.to(dtype));
    };
    const torch::Tensor single = step(torch::kFloat32);
    EXPECT_TRUE(torch::equal(step(torch::kHalf), single.to(torch::kHalf)));
    const torch::Tensor wide = step(torch::kFloat64);
    EXPECT_EQ(wide.scalar_type(), torch::kFloat64);
    EXPECT_LE(((single - wide).norm() / wide.norm()).item<double>(), 1e-6);
  }
}

TEST(StepBatchTest, RefusesNoiseOfAnotherShapeAndAWrongNumberOfRows) {
  const auto sampler = *MakeDdpmSampler(DecoderConfig(), 5);
  const torch::Tensor sample = torch::zeros({2, 4, 3, 3});
  const auto step = [&](std::vector<int64_t> noise, int64_t count) {
    const SampledRows rows{sampler.get(), 0, [&] { return torch::zeros(noise); }, count};
    return StepBatch({&rows, 1}, {.prediction = sample, .variance = {}}, sample);
  };
  EXPECT_NO_THROW(step({2, 4, 3, 3}, 2));
  EXPECT_THROW(step({1, 4, 3, 3}, 2), c10::Error);
  EXPECT_THROW(step({2, 4, 1, 3}, 2), c10::Error);
  EXPECT_THROW(step({1, 4, 3, 3}, 1), c10::Error);
}

TEST(StepBatchTest, RefusesALearnedVarianceThatTheNetworkDoesNotPredict) {
  const auto sampler = *MakeDdpmLearnedRangeSampler(DecoderConfig(), 5);
  const torch::Tensor sample = torch::zeros({1, 4, 3, 3});
  const SampledRows rows{sampler.get(), 0, [&] { return sample; }};
  EXPECT_THROW(StepBatch({&rows, 1}, {.prediction = sample, .variance = {}}, sample), c10::Error);
}

}  // namespace
}  // namespace kandinsky
