#include "training/validation_images.h"

#include <filesystem>
#include <memory>
#include <system_error>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "base/mapped_file.h"
#include "base/status_macros.h"
#include "imaging/png.h"
#include "pipeline/kandinsky22/networks/load_kandinsky22.h"
#include "pipeline/model.h"

namespace kandinsky::training {
namespace {

absl::StatusOr<Image> MakeImage(const Model& model, Pipeline& pipeline, const GenerationRequest& request) {
  ASSIGN_OR_RETURN(const std::unique_ptr<Sample> sample,
                   pipeline.Admit(request, std::make_shared<const Plan>(model.PlanOf(request))));
  Sample* const batch[] = {sample.get()};
  while (sample->stage() != Stage::kDone) RETURN_IF_ERROR(pipeline.Step(batch));
  absl::StatusOr<GenerationResult> result = sample->TakeResult();
  if (!result.ok()) return result.status();
  if (!result->image.has_value()) return absl::InternalError("a sample made no image");
  return *std::move(result->image);
}

}  // namespace

absl::Status WriteValidationImages(const std::string& model_folder, const ValidationOptions& options,
                                   uint64_t seed, int threads, const std::string& output_folder) {
  std::error_code error;
  std::filesystem::create_directories(output_folder, error);
  if (error) return absl::UnavailableError(absl::StrCat(output_folder, ": ", error.message()));
  ASSIGN_OR_RETURN(const LoadedModel loaded,
                   LoadKandinsky({.model_path = model_folder, .threads = threads}, 1));
  ASSIGN_OR_RETURN(const std::unique_ptr<Pipeline> pipeline, loaded.model->MakePipeline("cpu"));
  for (size_t i = 0; i < options.prompts.size(); ++i) {
    GenerationRequest request;
    request.prompt = options.prompts[i];
    request.width = options.size;
    request.height = options.size;
    request.steps = options.steps;
    request.guidance_scale = static_cast<float>(options.guidance_scale);
    request.prior_steps = options.prior_steps;
    request.seed = seed + i;
    ASSIGN_OR_RETURN(const Image image, MakeImage(*loaded.model, *pipeline, request));
    ASSIGN_OR_RETURN(const std::string png, EncodePng(image));
    RETURN_IF_ERROR(WriteFileAtomically(absl::StrCat(output_folder, "/", i, ".png"),
                                        absl::Span<const char>(png.data(), png.size())));
  }
  return absl::OkStatus();
}

}  // namespace kandinsky::training
