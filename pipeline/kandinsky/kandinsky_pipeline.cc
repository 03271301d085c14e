#include "pipeline/kandinsky/kandinsky_pipeline.h"

#include <ATen/Parallel.h>
#include <c10/core/InferenceMode.h>

#include <algorithm>
#include <string>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "absl/strings/str_cat.h"
#include "base/status_macros.h"
#include "pipeline/kandinsky/exception_translation.h"
#include "pipeline/kandinsky/stages.h"
#include "pipeline/kandinsky22/request_check.h"
#include "pipeline/kandinsky22/request_plan.h"
#include "pipeline/samplers/decoder_sampler.h"

namespace kandinsky {
namespace {

// A full-size text takes 26 MB in float32; about ten distinct ones stay.
constexpr size_t kTextCacheBytes = 256u << 20;

// Tokenizes the texts of the plan, and reports how every text of the request fares, also those that this
// request does not need.
void Tokenize(const ClipTokenizer& tokenizer, KandinskyGeneration& generation) {
  const std::vector<std::string>& planned = generation.plan.texts;
  for (const std::string& text : planned) {
    generation.texts.push_back({.tokens = tokenizer.Encode(text), .encoded = nullptr});
  }
  const auto report = [&](std::string field, const std::string& text) {
    const auto found = static_cast<size_t>(std::find(planned.begin(), planned.end(), text) - planned.begin());
    const ClipTokenizer::Tokens tokens =
        found < planned.size() ? generation.texts[found].tokens : tokenizer.Encode(text);
    generation.token_report.push_back({std::move(field), tokens.total_tokens, tokens.kept});
  };
  const GenerationRequest& request = generation.request;
  if (const auto* mix = std::get_if<Mix>(&request.task)) {
    for (size_t i = 0; i < mix->parts.size(); ++i) {
      const auto* text = std::get_if<std::string>(&mix->parts[i].content);
      if (text != nullptr) report(absl::StrCat("mix.parts[", i, "].text"), *text);
    }
  } else if (RunsPrior(request) || std::holds_alternative<EmbedText>(request.task)) {
    report("prompt", request.prompt);
  }
  if (request.negative_prompt) report("negative_prompt", *request.negative_prompt);
  if (request.negative_prior_prompt) report("negative_prior_prompt", *request.negative_prior_prompt);
}

}  // namespace

KandinskyPipeline::KandinskyPipeline(std::shared_ptr<const KandinskyModel> model, int threads)
    : model_(std::move(model)), text_cache_(kTextCacheBytes) {
  at::set_num_threads(threads);
}

absl::StatusOr<std::unique_ptr<Generation>> KandinskyPipeline::Admit(const GenerationRequest& request,
                                                                     std::shared_ptr<const Plan> plan) {
  return TranslateExceptions("admission", [&]() -> absl::StatusOr<std::unique_ptr<Generation>> {
    const c10::InferenceMode inference_mode;
    return AdmitOrThrow(request, std::move(plan));
  });
}

absl::StatusOr<std::unique_ptr<Generation>> KandinskyPipeline::AdmitOrThrow(
    const GenerationRequest& request, std::shared_ptr<const Plan> plan) const {
  RETURN_IF_ERROR(ToStatus(CheckRequest(model_->capabilities, request, RequestLimits())));
  RETURN_IF_ERROR(CheckInputs(model_->capabilities, request));
  const AdaptedNetworks& adapted =
      request.adapter.empty() ? model_->networks : model_->adapters.at(request.adapter);
  RequestNetworks networks = {adapted.prior, nullptr, adapted.prior_adapter};
  if (const char* const network = NetworkOf(request.task)) networks.unet = adapted.unets.at(network);
  auto generation = std::make_unique<KandinskyGeneration>(request, std::move(plan), std::move(networks),
                                                          request.height / model_->latent_scale,
                                                          request.width / model_->latent_scale);
  generation->latent_to_rgb = model_->latent_to_rgb;
  Tokenize(*model_->tokenizer, *generation);
  if (RunsPrior(request)) {
    ASSIGN_OR_RETURN(generation->prior_sampler,
                     MakeUnclipSampler(model_->prior_sampler, request.prior_steps));
  }
  if (MakesImage(request.task)) {
    const DecoderSampling& sampling = model_->sampling.at(NetworkOf(request.task));
    const SamplerKind kind =
        request.sampler == SamplerKind::kModelDefault ? sampling.default_sampler : request.sampler;
    ASSIGN_OR_RETURN(generation->sampler,
                     MakeDecoderSampler(kind, sampling.config, {.steps = request.steps, .eta = request.eta}));
  }
  return generation;
}

absl::Status KandinskyPipeline::Step(absl::Span<Generation* const> batch) {
  const Stage stage = batch.front()->stage();
  return TranslateExceptions(StageName(stage), [&]() -> absl::Status {
    std::vector<KandinskyGeneration*> generations;
    for (Generation* generation : batch) generations.push_back(static_cast<KandinskyGeneration*>(generation));
    const c10::InferenceMode inference_mode;
    switch (stage) {
      case Stage::kEncode:
        RunEncodeStage(*model_, text_cache_, generations);
        break;
      case Stage::kPrior:
        RunPriorStage(*model_, generations);
        break;
      case Stage::kDenoise:
        RunDenoiseStage(generations);
        break;
      case Stage::kDecode:
        RunDecodeStage(*model_, generations);
        break;
      case Stage::kDone:
        return absl::InternalError("a finished generation was stepped");
    }
    return absl::OkStatus();
  });
}

}  // namespace kandinsky
