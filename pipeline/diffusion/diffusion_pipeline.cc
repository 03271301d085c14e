#include "pipeline/diffusion/diffusion_pipeline.h"

#include <ATen/Parallel.h>
#include <c10/core/InferenceMode.h>

#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "base/status_macros.h"
#include "pipeline/device/exception_translation.h"
#include "pipeline/diffusion/stages.h"
#include "pipeline/request_rules.h"
#include "pipeline/samplers/decoder_sampler.h"

namespace kandinsky {
namespace {

// A full-size text takes 26 MB in float32; about ten distinct ones stay.
constexpr size_t kTextCacheBytes = 256u << 20;

void TokenizeRecipe(const DiffusionModel& model, DiffusionSample& sample) {
  const SampleRecipe& recipe = sample.recipe;
  for (const RecipeText& text : recipe.texts) {
    sample.texts.push_back({.tokens = model.text_encoders.at(text.encoder)->Tokenize(text.text)});
  }
  const auto text_at = [&](int index) -> SampleText& { return sample.texts[static_cast<size_t>(index)]; };
  for (const PriorRow& row : recipe.rows) {
    text_at(row.text).for_prior = true;
    if (row.unconditional >= 0) text_at(row.unconditional).for_prior = true;
  }
  for (const DenoiserText& text : recipe.denoiser_texts) {
    text_at(text.text).for_denoiser = true;
    if (sample.guided()) text_at(text.unconditional).for_denoiser = true;
  }
}

// The tokens of a text in the encoder's window; those of the recipe are there already.
TextTokens TokensOf(const DiffusionModel& model, const DiffusionSample& sample, const std::string& encoder,
                    const std::string& text) {
  const std::vector<RecipeText>& planned = sample.recipe.texts;
  for (size_t i = 0; i < planned.size(); ++i) {
    if (planned[i].encoder == encoder && planned[i].text == text) return sample.texts[i].tokens;
  }
  return model.text_encoders.at(encoder)->Tokenize(text);
}

// Reports how every text of the request fares, also those that this request does not need: of several
// encoders that which cuts most of it.
void ReportTexts(const DiffusionModel& model, DiffusionSample& sample) {
  for (RequestText& text : model.family->TextsOf(sample.request)) {
    std::optional<PromptTokens> report;
    for (const auto& [name, encoder] : model.text_encoders) {
      const TextTokens tokens = TokensOf(model, sample, name, text.text);
      const int cut = tokens.total_tokens - tokens.kept;
      if (report && cut <= report->tokens - report->kept_tokens) continue;
      report = {text.field, tokens.total_tokens, tokens.kept};
    }
    if (report) sample.token_report.push_back(*std::move(report));
  }
}

RequestNetworks NetworksFor(const DiffusionModel& model, const GenerationRequest& request) {
  const AdaptedNetworks& adapted =
      request.adapter.empty() ? model.networks : model.adapters.at(request.adapter);
  RequestNetworks networks = {adapted.prior, nullptr, adapted.names.prior};
  if (const char* const network = NetworkOf(request.task)) networks.denoiser = adapted.denoisers.at(network);
  return networks;
}

}  // namespace

DiffusionPipeline::DiffusionPipeline(std::shared_ptr<const DiffusionModel> model, int threads)
    : model_(std::move(model)), text_cache_(kTextCacheBytes) {
  at::set_num_threads(threads);
}

absl::StatusOr<std::unique_ptr<Sample>> DiffusionPipeline::Admit(const GenerationRequest& request,
                                                                 std::shared_ptr<const Plan> plan) {
  return TranslateExceptions("admission", [&]() -> absl::StatusOr<std::unique_ptr<Sample>> {
    const c10::InferenceMode inference_mode;
    return AdmitOrThrow(request, std::move(plan));
  });
}

absl::StatusOr<std::unique_ptr<Sample>> DiffusionPipeline::AdmitOrThrow(
    const GenerationRequest& request, std::shared_ptr<const Plan> plan) const {
  const Family& family = *model_->family;
  RETURN_IF_ERROR(ToStatus(family.Check(model_->capabilities, request, RequestLimits())));
  RETURN_IF_ERROR(CheckInputs(model_->capabilities, request));
  const LatentSize size = {.channels = model_->autoencoder->latent_channels(),
                           .height = request.height / model_->autoencoder->scale(),
                           .width = request.width / model_->autoencoder->scale()};
  auto sample = std::make_unique<DiffusionSample>(request, std::move(plan), family.RecipeOf(request),
                                                  NetworksFor(*model_, request), model_->placement, size);
  sample->latent_to_rgb = model_->latent_to_rgb;
  TokenizeRecipe(*model_, *sample);
  ReportTexts(*model_, *sample);
  if (sample->steps_of(Stage::kPrior) > 0) {
    ASSIGN_OR_RETURN(sample->prior_sampler, MakeUnclipSampler(model_->prior_sampler, request.prior_steps));
  }
  if (MakesImage(request.task)) {
    const DecoderSampling& sampling = model_->sampling.at(NetworkOf(request.task));
    const SamplerKind kind =
        request.sampler == SamplerKind::kModelDefault ? sampling.default_sampler : request.sampler;
    ASSIGN_OR_RETURN(sample->sampler,
                     MakeDecoderSampler(kind, sampling.config, {.steps = request.steps, .eta = request.eta}));
  }
  return sample;
}

absl::Status DiffusionPipeline::Step(absl::Span<Sample* const> batch) {
  const Stage stage = batch.front()->stage();
  return TranslateExceptions(StageName(stage), [&]() -> absl::Status {
    std::vector<DiffusionSample*> samples;
    for (Sample* sample : batch) samples.push_back(static_cast<DiffusionSample*>(sample));
    const c10::InferenceMode inference_mode;
    switch (stage) {
      case Stage::kEncode:
        RunEncodeStage(*model_, text_cache_, samples);
        break;
      case Stage::kPrior:
        RunPriorStage(*model_, samples);
        break;
      case Stage::kDenoise:
        RunDenoiseStage(samples);
        break;
      case Stage::kDecode:
        RunDecodeStage(*model_, samples);
        break;
      case Stage::kDone:
        return absl::InternalError("a finished sample was stepped");
    }
    return absl::OkStatus();
  });
}

}  // namespace kandinsky
