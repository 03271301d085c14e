#include "training/training_estimate.h"

#include <ATen/ATen.h>
#include <ATen/Parallel.h>
#include <c10/core/Allocator.h>
#include <c10/util/ThreadLocalDebugInfo.h>

#include <algorithm>
#include <atomic>
#include <functional>
#include <memory>
#include <optional>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "base/clock.h"
#include "base/process_resources.h"
#include "base/status_macros.h"
#include "pipeline/components/model_configs.h"
#include "pipeline/device/exception_translation.h"
#include "pipeline/hint_size.h"
#include "pipeline/models/prior_transformer.h"
#include "pipeline/models/unet_2d_condition_model.h"
#include "pipeline/models/vq_model.h"
#include "training/autocast.h"
#include "training/lora_adapters.h"
#include "training/noising.h"
#include "training/run_training.h"
#include "training/training_losses.h"

namespace kandinsky::training {
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

// The configurations of the networks that a training is about.
struct NetworkSizes {
  PriorTransformerConfig prior;
  UNet2DConditionConfig unet;
  VQModelConfig movq;
};

absl::StatusOr<NetworkSizes> SizesFor(const TrainingOptions& options) {
  NetworkSizes sizes;
  sizes.prior.embedding_dim = 1280;  // of the published prior; the others' defaults are the published values
  if (options.decoder_path.empty()) return sizes;
  ASSIGN_OR_RETURN(const ModelDirectory files, OpenTrainingModel(options));
  const auto parse = [](const NetworkFiles& network, auto parser, auto& config) -> absl::Status {
    ASSIGN_OR_RETURN(config, parser(network.config.path, network.config.json));
    return absl::OkStatus();
  };
  RETURN_IF_ERROR(parse(files.prior.prior, ParsePriorConfig, sizes.prior));
  RETURN_IF_ERROR(parse(files.decoder.unet, ParseUNetConfig, sizes.unet));
  RETURN_IF_ERROR(parse(files.decoder.movq, ParseVQModelConfig, sizes.movq));
  return sizes;
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

absl::StatusOr<TrainingEstimate> EstimatePrior(const TrainingOptions& options,
                                               const PriorTransformerConfig& config,
                                               int64_t available_bytes) {
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

absl::StatusOr<TrainingEstimate> EstimateDecoder(const TrainingOptions& options, const NetworkSizes& sizes,
                                                 int64_t available_bytes) {
  UNet2DConditionModel unet(sizes.unet);
  const int64_t rows = options.batch_size;
  const auto scale = static_cast<int>(sizes.movq.DownsamplingFactor());
  const int64_t multiple = sizes.unet.SizeMultiple() * scale;
  if (options.data.resolution % multiple != 0) {
    return absl::InvalidArgumentError(absl::StrCat("data.resolution is ", options.data.resolution,
                                                   ", must be a multiple of ", multiple, " for this model"));
  }
  const int64_t edge = options.data.resolution / scale;
  return Estimate(options, unet, available_bytes, [&] {
    const Noising noising = Noising::Make({}).value();
    const torch::Tensor latents = at::randn({rows, sizes.movq.latent_channels, edge, edge});
    torch::Tensor further;
    if (sizes.unet.addition_embed_type == "image_hint") {
      const int64_t hint_edge = HintEdge(options.data.resolution, scale);
      further = unet.encode_hint(at::rand({rows, 3, hint_edge, hint_edge}));
    } else if (sizes.unet.in_channels > latents.size(1)) {
      further = at::randn({rows, sizes.unet.in_channels - latents.size(1), edge, edge});
    }
    return DecoderLoss(unet, noising,
                       {.latents = latents,
                        .image_embeds = at::randn({rows, sizes.unet.encoder_hid_dim}),
                        .further_channels = further,
                        .noise = at::randn(latents.sizes()),
                        .timesteps = at::full({rows}, 500, at::kLong)},
                       0.0);
  });
}

std::string Bytes(int64_t bytes) {
  if (bytes < 0) return "not measured";
  const bool small = bytes < 1'000'000'000;
  return absl::StrFormat("%.2f %s", static_cast<double>(bytes) * (small ? 1e-6 : 1e-9), small ? "MB" : "GB");
}

std::string Millions(int64_t count) {
  return absl::StrFormat("%.3f million", static_cast<double>(count) * 1e-6);
}

// To the millisecond, or the second where it is long.
std::string Time(double seconds) {
  const absl::Duration unit = seconds < 60 ? absl::Milliseconds(1) : absl::Seconds(1);
  return absl::FormatDuration(absl::Ceil(absl::Seconds(seconds), unit));
}

void Print(const std::string& name, const TrainingEstimate& estimate, const TrainingOptions& options,
           std::ostream& out) {
  out << name << ": " << Millions(estimate.parameters) << " parameters, "
      << Millions(estimate.trained_parameters) << " trained\n"
      << "  weights      " << Bytes(estimate.weight_bytes) << "\n"
      << "  gradients    " << Bytes(estimate.gradient_bytes) << "\n"
      << "  optimizer    " << Bytes(estimate.optimizer_bytes) << "\n"
      << "  average      " << Bytes(estimate.average_bytes) << "\n"
      << "  activations  " << Bytes(estimate.activation_bytes) << " (batch of " << options.batch_size << ")\n"
      << "  together     " << Bytes(estimate.TotalBytes()) << "\n";
  if (estimate.seconds_per_batch < 0) {
    out << "  time         not measured: not enough memory on this machine\n";
    return;
  }
  const double step = estimate.seconds_per_batch * options.accumulation_steps;
  out << "  time         " << Time(estimate.seconds_per_batch) << " for a batch, " << Time(step)
      << " for an optimizer step, " << Time(step * static_cast<double>(options.max_steps)) << " for "
      << options.max_steps << (options.max_steps == 1 ? " step" : " steps") << ", on the CPU with "
      << at::get_num_threads() << (at::get_num_threads() == 1 ? " thread\n" : " threads\n");
}

}  // namespace

absl::StatusOr<TrainingEstimate> EstimateTraining(const TrainingOptions& options, int64_t available_bytes) {
  return TranslateExceptions("dry run", [&]() -> absl::StatusOr<TrainingEstimate> {
    ASSIGN_OR_RETURN(const NetworkSizes sizes, SizesFor(options));
    if (options.target == TrainingTarget::kPrior) return EstimatePrior(options, sizes.prior, available_bytes);
    return EstimateDecoder(options, sizes, available_bytes);
  });
}

absl::Status PrintEstimate(const TrainingOptions& options, std::ostream& out) {
  at::set_num_threads(options.threads > 0 ? options.threads : AvailableCpus());
  ASSIGN_OR_RETURN(const TrainingEstimate estimate, EstimateTraining(options, AvailableMemoryBytes()));
  const bool prior = options.target == TrainingTarget::kPrior;
  const char* const network = prior ? "prior" : "decoder U-Net";
  const std::string& path = prior && !options.prior_path.empty() ? options.prior_path : options.decoder_path;
  Print(options.decoder_path.empty()
            ? absl::StrCat("Kandinsky 2.2 ", network, " as published (no decoder_path is set)")
            : absl::StrCat(network, " of ", path),
        estimate, options, out);
  return absl::OkStatus();
}

}  // namespace kandinsky::training
