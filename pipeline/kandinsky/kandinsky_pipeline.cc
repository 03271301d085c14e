#include "pipeline/kandinsky/kandinsky_pipeline.h"

#include <ATen/Parallel.h>
#include <c10/core/InferenceMode.h>

#include <string>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "absl/strings/str_cat.h"
#include "base/status_macros.h"
#include "pipeline/kandinsky/exception_translation.h"
#include "pipeline/kandinsky/stages.h"

namespace kandinsky {
namespace {

// A full-size text takes 26 MB in float32; about ten distinct ones stay.
constexpr size_t kTextCacheBytes = 256u << 20;

void ReportTokens(const char* field, const ClipTokenizer::Tokens& tokens, std::vector<PromptTokens>& report) {
  report.push_back({field, tokens.total_tokens, tokens.kept});
}

}  // namespace

KandinskyPipeline::KandinskyPipeline(std::shared_ptr<const KandinskyModel> model, int threads)
    : model_(std::move(model)), text_cache_(kTextCacheBytes) {
  at::set_num_threads(threads);
}

absl::StatusOr<std::unique_ptr<Generation>> KandinskyPipeline::Admit(const GenerationRequest& request) {
  return TranslateExceptions("admission", [&]() -> absl::StatusOr<std::unique_ptr<Generation>> {
    const c10::InferenceMode inference_mode;
    return AdmitOrThrow(request);
  });
}

absl::StatusOr<std::unique_ptr<Generation>> KandinskyPipeline::AdmitOrThrow(
    const GenerationRequest& request) const {
  const int multiple = capabilities().size_multiple;
  if (request.width < multiple || request.width % multiple != 0 || request.height < multiple ||
      request.height % multiple != 0) {
    return absl::InvalidArgumentError(
        absl::StrCat("width and height must be positive multiples of ", multiple));
  }
  auto generation = std::make_unique<KandinskyGeneration>(request, BatchKey{.network = "text_encoder"});
  generation->latent_height = request.height / model_->latent_scale;
  generation->latent_width = request.width / model_->latent_scale;
  generation->step_memory = model_->step_memory;
  generation->latent_to_rgb = model_->latent_to_rgb;
  generation->prompt.tokens = model_->tokenizer->Encode(request.prompt);
  ReportTokens("prompt", generation->prompt.tokens, generation->token_report);
  ClipTokenizer::Tokens negative = model_->tokenizer->Encode(request.negative_prompt.value_or(""));
  if (request.negative_prompt) ReportTokens("negative_prompt", negative, generation->token_report);
  if (generation->prior_guided() || (request.negative_prompt && generation->guided())) {
    generation->negative = RequestText{.tokens = std::move(negative), .encoded = nullptr};
  }
  ASSIGN_OR_RETURN(generation->prior_sampler, MakeUnclipSampler(model_->prior_sampler, request.prior_steps));
  const SamplerKind kind =
      request.sampler == SamplerKind::kModelDefault ? model_->default_sampler : request.sampler;
  if (kind == SamplerKind::kDdim) {
    ASSIGN_OR_RETURN(generation->sampler,
                     MakeDdimSampler(model_->decoder_sampler, request.steps, request.eta));
  } else {
    ASSIGN_OR_RETURN(generation->sampler, MakeDdpmSampler(model_->decoder_sampler, request.steps));
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
        RunDenoiseStage(*model_, generations);
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
