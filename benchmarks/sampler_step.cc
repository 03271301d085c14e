// The samplers' step of a batch against the same images one by one (batches of one image, of the same
// function), for every sampler and for a mix of all: best seconds of both, in turns, in one process. Noise is
// drawn beforehand. Prints a line per sampler to standard error, and one JSON object.
//
// Usage: sampler_step --threads 2 --repeats 30 [--images 8] [--latent 96] [--device cuda]
#include <ATen/ATen.h>
#include <ATen/Parallel.h>
#include <c10/core/InferenceMode.h>

#include <CLI/CLI.hpp>
#include <algorithm>
#include <chrono>
#include <cstdio>
#include <exception>
#include <limits>
#include <memory>
#include <stdexcept>
#include <string>
#include <utility>
#include <vector>

#include "pipeline/samplers/batch_step.h"
#include "pipeline/samplers/decoder_sampler.h"
#include "tests/pipeline/samplers/published_sampler_configs.h"

namespace kandinsky {
namespace {

struct Options {
  int64_t images = 8;
  int64_t latent = 96;
  int threads = 2;
  int repeats = 30;
  std::string device = "cpu";
};

struct NamedKind {
  const char* name;
  SamplerKind kind;
  float eta;
};

constexpr NamedKind kKinds[] = {{"ddpm", SamplerKind::kDdpm, 0.0f},
                                {"ddpm_learned_range", SamplerKind::kDdpmLearnedRange, 0.0f},
                                {"ddim", SamplerKind::kDdim, 0.0f},
                                {"ddim_eta", SamplerKind::kDdim, 1.0f},
                                {"euler", SamplerKind::kEuler, 0.0f},
                                {"euler_ancestral", SamplerKind::kEulerAncestral, 0.0f},
                                {"dpm_solver", SamplerKind::kDpmSolverMultistep, 0.0f}};

// Images of the given kinds in turns, each in a step of its own in the middle of its schedule.
class Batch {
 public:
  Batch(const std::vector<NamedKind>& kinds, const Options& options)
      : on_device_(torch::TensorOptions().dtype(torch::kFloat32).device(options.device)) {
    const std::vector<int64_t> shape = {options.images, 4, options.latent, options.latent};
    sample_ = torch::randn(shape, on_device_);
    output_ = {torch::randn(shape, on_device_), torch::rand(shape, on_device_)};
    noise_ = torch::randn({1, 4, options.latent, options.latent});
    for (int64_t i = 0; i < options.images; ++i) {
      const NamedKind& kind = kinds[static_cast<size_t>(i) % kinds.size()];
      const int steps = 20 + 5 * static_cast<int>(i);
      samplers_.push_back(
          MakeDecoderSampler(kind.kind, PublishedDecoderConfig(), {.steps = steps, .eta = kind.eta}).value());
      rows_.push_back({samplers_.back().get(), 5 + static_cast<int>(i), [this] { return noise_; }});
    }
    GiveHistory();
  }
  Batch(const Batch&) = delete;
  Batch& operator=(const Batch&) = delete;

  torch::Tensor Together() const { return StepBatch(rows_, output_, sample_); }

  std::vector<torch::Tensor> OneByOne() const {
    std::vector<torch::Tensor> next;
    for (size_t i = 0; i < rows_.size(); ++i) {
      const auto row = [i](const torch::Tensor& batch) {
        return batch.narrow(0, static_cast<int64_t>(i), 1);
      };
      next.push_back(
          StepBatch({&rows_[i], 1}, {row(output_.prediction), row(output_.variance)}, row(sample_)));
    }
    return next;
  }

  // Until the device has computed what was asked of it.
  void Wait() const {
    if (!sample_.is_cpu()) sample_.flatten()[0].item<float>();
  }

 private:
  // What the solvers look back at.
  void GiveHistory() {
    for (SampledRows& rows : rows_) --rows.index;
    Together();
    for (SampledRows& rows : rows_) {
      ++rows.index;
      rows.sampler->Commit();
    }
  }

  const torch::TensorOptions on_device_;
  torch::Tensor sample_;
  NetworkOutput output_;
  torch::Tensor noise_;
  std::vector<std::unique_ptr<Sampler>> samplers_;
  std::vector<SampledRows> rows_;
};

template <typename Function>
double Seconds(const Batch& batch, const Function& function) {
  constexpr int kCalls = 10;
  batch.Wait();
  const auto start = std::chrono::steady_clock::now();
  for (int call = 0; call < kCalls; ++call) function();
  batch.Wait();
  return std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count() / kCalls;
}

void Measure(const std::string& name, const std::vector<NamedKind>& kinds, const Options& options,
             bool first) {
  const Batch batch(kinds, options);
  if (!torch::equal(batch.Together(), at::cat(batch.OneByOne()))) {
    throw std::runtime_error(name + ": a batch computes something else than its images one by one");
  }
  double together = std::numeric_limits<double>::infinity();
  double one_by_one = together;
  for (int i = -1; i < options.repeats; ++i) {
    const double ours = Seconds(batch, [&] { batch.Together(); });
    const double peer = Seconds(batch, [&] { batch.OneByOne(); });
    if (i < 0) continue;  // warms up
    together = std::min(together, ours);
    one_by_one = std::min(one_by_one, peer);
  }
  std::fprintf(stderr, "%-20s %8.1f us together, %8.1f us one by one, ratio %.2f\n", name.c_str(),
               1e6 * together, 1e6 * one_by_one, one_by_one / together);
  std::printf("%s\"%s\": {\"together_us\": %.1f, \"one_by_one_us\": %.1f}", first ? "{" : ", ", name.c_str(),
              1e6 * together, 1e6 * one_by_one);
}

int Run(const Options& options) {
  const c10::InferenceMode inference_mode;
  bool first = true;
  for (const NamedKind& kind : kKinds) Measure(kind.name, {kind}, options, std::exchange(first, false));
  Measure("mix", {std::begin(kKinds), std::end(kKinds)}, options, false);
  std::printf("}\n");
  return 0;
}

}  // namespace
}  // namespace kandinsky

int main(int argc, char** argv) try {
  CLI::App app("Times the samplers' step of a batch against the same images one by one");
  kandinsky::Options options;
  app.add_option("--images", options.images, "Images of a batch")->check(CLI::Range(1, 64));
  app.add_option("--latent", options.latent, "Height and width of the latents")->check(CLI::Range(8, 256));
  app.add_option("--threads", options.threads, "Compute threads")->check(CLI::Range(1, 256));
  app.add_option("--repeats", options.repeats, "Timed rounds of ten steps")->check(CLI::Range(1, 1000));
  app.add_option("--device", options.device, "PyTorch's name of the device");
  CLI11_PARSE(app, argc, argv);
  at::set_num_threads(options.threads);
  return kandinsky::Run(options);
} catch (const std::exception& error) {
  std::fprintf(stderr, "sampler_step: %s\n", error.what());
  return 1;
}
