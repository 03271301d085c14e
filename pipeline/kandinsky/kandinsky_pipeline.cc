#include "pipeline/kandinsky/kandinsky_pipeline.h"

#include <ATen/Parallel.h>
#include <c10/core/InferenceMode.h>
#include <c10/util/Exception.h>

#include <new>
#include <string>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "absl/strings/str_cat.h"
#include "base/logging.h"
#include "base/status_macros.h"
#include "pipeline/kandinsky/stages.h"

namespace kandinsky {
namespace {

// A full-size text takes 26 MB in float32; about ten distinct ones stay.
constexpr size_t kTextCacheBytes = 256u << 20;

bool IsOutOfMemory(const c10::Error& error) {
  if (dynamic_cast<const c10::OutOfMemoryError*>(&error) != nullptr) return true;
  // The CPU allocator throws a plain c10::Error; its text is the only mark.
  return std::string(error.what_without_backtrace()).find("can't allocate memory") != std::string::npos;
}

// Runs `body` and translates what libtorch throws; the texts go to the log, not to the caller.
template <typename Body>
auto TranslateExceptions(const char* what, Body body) -> decltype(body()) {
  try {
    return body();
  } catch (const std::bad_alloc&) {
    return absl::ResourceExhaustedError(absl::StrCat("out of memory in ", what));
  } catch (const c10::Error& error) {
    if (IsOutOfMemory(error)) return absl::ResourceExhaustedError(absl::StrCat("out of memory in ", what));
    Log(LogLevel::kError, "libtorch failed",
        {{"where", what}, {"error", std::string_view(error.what_without_backtrace())}});
  } catch (const std::exception& error) {
    Log(LogLevel::kError, "the pipeline failed", {{"where", what}, {"error", std::string_view(error.what())}});
  }
  return absl::InternalError(absl::StrCat("the ", what, " failed"));
}

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
    return absl::InvalidArgumentError(absl::StrCat("width and height must be positive multiples of ", multiple));
  }
  auto generation = std::make_unique<KandinskyGeneration>(request, BatchKey{.network = "text_encoder"});
  generation->latent_height = request.height / model_->latent_scale;
  generation->latent_width = request.width / model_->latent_scale;
  generation->prompt.tokens = model_->tokenizer->Encode(request.prompt);
  ReportTokens("prompt", generation->prompt.tokens, generation->token_report);
  if (request.negative_prompt) {
    ReportTokens("negative_prompt", model_->tokenizer->Encode(*request.negative_prompt),
                 generation->token_report);
  }
  if (generation->prior_guided() || (request.negative_prompt && generation->guided())) {
    generation->negative.emplace();
    generation->negative->tokens = model_->tokenizer->Encode(request.negative_prompt.value_or(""));
  }
  ASSIGN_OR_RETURN(generation->prior_sampler, MakeUnclipSampler(model_->prior_sampler, request.prior_steps));
  if (request.sampler == SamplerKind::kDdim) {
    ASSIGN_OR_RETURN(generation->sampler,
                     MakeDdimSampler(model_->decoder_sampler, request.steps, request.eta));
  } else {
    ASSIGN_OR_RETURN(generation->sampler, MakeDdpmSampler(model_->decoder_sampler, request.steps));
  }
  return generation;
}

absl::Status KandinskyPipeline::Step(absl::Span<Generation* const> batch) {
  std::vector<KandinskyGeneration*> generations;
  for (Generation* generation : batch) generations.push_back(static_cast<KandinskyGeneration*>(generation));
  const Stage stage = generations.front()->stage();
  return TranslateExceptions(StageName(stage), [&]() -> absl::Status {
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
