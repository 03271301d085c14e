#include "training/training_estimate.h"

#include <ATen/ATen.h>
#include <ATen/Parallel.h>
#include <c10/core/Allocator.h>
#include <c10/util/ThreadLocalDebugInfo.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <functional>
#include <memory>
#include <optional>

#include "absl/strings/str_format.h"
#include "base/clock.h"
#include "base/status_macros.h"
#include "pipeline/kandinsky/exception_translation.h"
#include "pipeline/kandinsky/kandinsky_pipeline_factory.h"
#include "training/autocast.h"
#include "training/lora_adapters.h"
#include "training/noising.h"
#include "training/training_losses.h"

namespace kandinsky {
namespace {

// Counts the bytes that libtorch holds, on the calling thread and those of its backward pass.
class MemoryPeak final : public c10::MemoryReportingInfoBase {
 public:
  void reportMemoryUsage(void*, int64_t alloc_size, size_t, size_t, c10::Device) override {
    const int64_t now = held_.fetch_add(alloc_size) + alloc_size;
    int64_t peak = peak_.load();
    while (now > peak && !peak_.compare_exchange_weak(peak, now)) {
    }
  }
  bool memoryProfilingEnabled() const override { return true; }
  int64_t held() const { return held_; }
  int64_t peak() const { return peak_; }

 private:
  std::atomic<int64_t> held_ = 0;
  std::atomic<int64_t> peak_ = 0;
};

PriorTransformerConfig PublishedPrior() {
  PriorTransformerConfig config;
  config.embedding_dim = 1280;
  return config;
}

// Measures one batch of `loss`.
absl::Status MeasureBatch(const TrainingOptions& options, const std::function<torch::Tensor()>& loss,
                          TrainingEstimate& estimate) {
  return TranslateExceptions("dry run", [&] {
    const auto memory = std::make_shared<MemoryPeak>();
    const c10::DebugInfoGuard guard(c10::DebugInfoKind::PROFILER_STATE, memory);
    const absl::Time start = Clock::Real().Now();
    torch::Tensor value;
    {
      const Autocast autocast(options.precision);
      value = loss();
    }
    const int64_t kept_for_backward = memory->held();
    value.backward();
    estimate.seconds_per_batch = absl::ToDoubleSeconds(Clock::Real().Now() - start);
    // Gradients come as activations go: the peak holds all of the one and some of the other.
    estimate.activation_bytes = std::max(kept_for_backward, memory->peak() - estimate.gradient_bytes);
    return absl::OkStatus();
  });
}

void CountMemory(const TrainingOptions& options, const NamedTensors& trained, torch::nn::Module& network,
                 TrainingEstimate& estimate) {
  constexpr int64_t kFloatBytes = 4;
  for (const torch::Tensor& parameter : network.parameters()) estimate.parameters += parameter.numel();
  for (const auto& [name, parameter] : trained) {
    estimate.trained_parameters += parameter.numel();
    if (options.optimizer.kind == OptimizerKind::kAdamW) {
      estimate.optimizer_bytes += 2 * kFloatBytes * parameter.numel();
    } else if (parameter.dim() >= 2) {
      estimate.optimizer_bytes +=
          kFloatBytes * (parameter.numel() / parameter.size(-1) + parameter.numel() / parameter.size(-2));
    } else {
      estimate.optimizer_bytes += kFloatBytes * parameter.numel();
    }
  }
  estimate.weight_bytes = kFloatBytes * estimate.parameters;
  estimate.gradient_bytes = kFloatBytes * estimate.trained_parameters;
  if (options.ema.has_value()) estimate.average_bytes = estimate.gradient_bytes;
}

// What is trained of `network`; `adapters` live as long as it is used.
absl::StatusOr<NamedTensors> Trained(const TrainingOptions& options, torch::nn::Module& network,
                                     std::optional<LoraAdapters>& adapters) {
  if (options.lora.has_value()) {
    ASSIGN_OR_RETURN(adapters, LoraAdapters::Attach(network, *options.lora, options.seed));
    return adapters->parameters();
  }
  NamedTensors trained;
  for (const auto& parameter : network.named_parameters()) {
    parameter.value().requires_grad_();
    trained.emplace_back(parameter.key(), parameter.value());
  }
  return trained;
}

// Values that cost as much to multiply as any; untouched memory would be faster than real weights.
void FillWeights(torch::nn::Module& network) {
  const at::NoGradGuard no_grad;
  for (torch::Tensor& parameter : network.parameters()) parameter.fill_(0.01);
}

// `make_loss` gives the loss of one batch of random inputs.
absl::StatusOr<TrainingEstimate> Estimate(const TrainingOptions& options, torch::nn::Module& network,
                                          int64_t available_bytes,
                                          const std::function<torch::Tensor()>& make_loss) {
  TrainingEstimate estimate;
  std::optional<LoraAdapters> adapters;
  ASSIGN_OR_RETURN(const NamedTensors trained, Trained(options, network, adapters));
  CountMemory(options, trained, network, estimate);
  // As much again as the weights for activations.
  const int64_t needed = 2 * estimate.weight_bytes + estimate.gradient_bytes;
  if (needed > available_bytes) return estimate;
  FillWeights(network);
  if (adapters.has_value()) adapters->Apply();
  RETURN_IF_ERROR(MeasureBatch(options, make_loss, estimate));
  return estimate;
}

absl::StatusOr<TrainingEstimate> EstimatePrior(const TrainingOptions& options, int64_t available_bytes) {
  const PriorTransformerConfig config = PublishedPrior();
  PriorTransformer prior(config);
  const int64_t rows = options.batch_size;
  return Estimate(options, prior, available_bytes, [&] {
    SamplerConfig schedule;
    schedule.beta_schedule = "squaredcos_cap_v2";
    const Noising noising = Noising::Make(schedule).value();
    const auto draw = [&](at::IntArrayRef shape) { return at::randn(shape); };
    return PriorLoss(prior, noising,
                     {.image_embeds = draw({rows, config.embedding_dim}),
                      .text_embeds = draw({rows, config.embedding_dim}),
                      .text_hidden = draw({rows, config.num_embeddings, config.embedding_dim}),
                      .text_mask = at::ones({rows, config.num_embeddings}, at::kBool),
                      .noise = draw({rows, config.embedding_dim}),
                      .timesteps = at::full({rows}, 500, at::kLong)},
                     0.0);
  });
}

absl::StatusOr<TrainingEstimate> EstimateDecoder(const TrainingOptions& options, int64_t available_bytes) {
  constexpr int kLatentScale = 8;  // of the published MOVQ
  const UNet2DConditionConfig config;
  UNet2DConditionModel unet(config);
  const int64_t rows = options.batch_size;
  const int64_t edge = options.data.resolution / kLatentScale;
  return Estimate(options, unet, available_bytes, [&] {
    const Noising noising = Noising::Make({}).value();
    const torch::Tensor latents = at::randn({rows, 4, edge, edge});
    return DecoderLoss(unet, noising,
                       {.latents = latents,
                        .image_embeds = at::randn({rows, config.encoder_hid_dim}),
                        .further_channels = {},
                        .noise = at::randn(latents.sizes()),
                        .timesteps = at::full({rows}, 500, at::kLong)},
                       0.0);
  });
}

std::string Gigabytes(int64_t bytes) {
  return bytes < 0 ? "not measured" : absl::StrFormat("%.2f GB", static_cast<double>(bytes) * 1e-9);
}

void Print(const char* name, const TrainingEstimate& estimate, const TrainingOptions& options,
           std::ostream& out) {
  out << absl::StrFormat("%s: %.3f billion parameters, %.3f trained\n", name,
                         static_cast<double>(estimate.parameters) * 1e-9,
                         static_cast<double>(estimate.trained_parameters) * 1e-9)
      << "  weights      " << Gigabytes(estimate.weight_bytes) << "\n"
      << "  gradients    " << Gigabytes(estimate.gradient_bytes) << "\n"
      << "  optimizer    " << Gigabytes(estimate.optimizer_bytes) << "\n"
      << "  average      " << Gigabytes(estimate.average_bytes) << "\n"
      << "  activations  " << Gigabytes(estimate.activation_bytes) << " (batch of " << options.batch_size
      << ")\n"
      << "  together     " << Gigabytes(estimate.TotalBytes()) << "\n";
  if (estimate.seconds_per_batch < 0) {
    out << "  time         not measured: not enough memory on this machine\n";
    return;
  }
  out << absl::StrFormat("  time         %.1f s for a batch, %.1f s for an optimizer step, on %d threads\n",
                         estimate.seconds_per_batch, estimate.seconds_per_batch * options.accumulation_steps,
                         at::get_num_threads());
}

}  // namespace

absl::StatusOr<TrainingEstimate> EstimateTraining(const TrainingOptions& options, int64_t available_bytes) {
  return TranslateExceptions("dry run", [&] {
    if (options.target == TrainingTarget::kPrior) return EstimatePrior(options, available_bytes);
    return EstimateDecoder(options, available_bytes);
  });
}

absl::Status PrintEstimate(const TrainingOptions& options, std::ostream& out) {
  at::set_num_threads(options.threads > 0 ? options.threads : AvailableCpus());
  const int64_t available = int64_t{sysconf(_SC_AVPHYS_PAGES)} * sysconf(_SC_PAGESIZE);
  ASSIGN_OR_RETURN(const TrainingEstimate estimate, EstimateTraining(options, available));
  const bool prior = options.target == TrainingTarget::kPrior;
  Print(prior ? "Kandinsky 2.2 prior" : "Kandinsky 2.2 decoder U-Net", estimate, options, out);
  return absl::OkStatus();
}

}  // namespace kandinsky
