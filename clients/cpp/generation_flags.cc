#include "clients/cpp/generation_flags.h"

#include <algorithm>
#include <map>
#include <utility>

#include "absl/strings/str_cat.h"
#include "clients/cpp/input_files.h"
#include "clients/cpp/number_flags.h"
#include "clients/cpp/output_format.h"
#include "clients/cpp/standard_streams.h"
#include "clients/cpp/usage.h"

namespace kandinsky::client {
namespace {

constexpr int kPreviewSteps = 5;  // from one to the next

const std::map<std::string, v1::Sampler>& Samplers() {
  static const auto* const samplers =
      new std::map<std::string, v1::Sampler>{{"ddpm", v1::SAMPLER_DDPM},
                                             {"ddim", v1::SAMPLER_DDIM},
                                             {"ddpm-learned-range", v1::SAMPLER_DDPM_LEARNED_RANGE},
                                             {"euler", v1::SAMPLER_EULER},
                                             {"euler-ancestral", v1::SAMPLER_EULER_ANCESTRAL},
                                             {"dpm-solver-multistep", v1::SAMPLER_DPM_SOLVER_MULTISTEP}};
  return *samplers;
}

const std::map<std::string, v1::Priority>& Priorities() {
  static const auto* const priorities = new std::map<std::string, v1::Priority>{
      {"low", v1::PRIORITY_LOW}, {"normal", v1::PRIORITY_NORMAL}, {"high", v1::PRIORITY_HIGH}};
  return *priorities;
}

void AddSamplingFlags(CLI::App& app, GenerationFlags& flags) {
  app.option_defaults()->group("Sampling");
  AddSizeFlags(app, flags.width, flags.height);
  AddNumberFlag(app, "--steps", flags.steps, kAnyCount, "Denoising steps (default: the model's)");
  AddNumberFlag(app, "--guidance-scale", flags.guidance_scale, kAnyFloat,
                "How closely to follow the prompt; 1 or less: off (default: the model's)");
  app.add_option("--sampler", flags.sampler, "The sampler (default: the model's own)")
      ->check(CLI::IsMember(&Samplers()));
  AddNumberFlag<double>(app, "--eta", flags.eta, {.min = 0, .max = 1}, "Noise of ddim, 0 to 1 (default 0)");
  app.add_option("--negative-image-embedding", flags.negative_image_embedding,
                 "Embedding file, for the unconditional half of the guidance")
      ->check(FileName());
}

void AddPreviewFlags(CLI::App& app, GenerationFlags& flags) {
  app.add_option(
         "--preview-to,--preview", flags.preview,
         ".png file for small images of the unfinished image, each replacing the one before; with {step} "
         "in its name all are kept, {image} is the image's number")
      ->check(FileName());
  AddNumberFlag(app, "--preview-every", flags.preview_every, kAnyCount,
                "Denoising steps from one preview to the next (default 5)");
}

void AddServingFlags(CLI::App& app, GenerationFlags& flags) {
  app.option_defaults()->group("Call");
  app.add_option("--priority", flags.priority, "How it stands against other requests (default normal)")
      ->check(CLI::IsMember(&Priorities()));
  app.add_option("--request-id", flags.request_id,
                 "Names the request; the same call again joins it or gets its result (default: drawn)")
      ->check(Utf8Text());
  app.add_flag("--detach", flags.detach, "The server goes on when this call ends; collect with `get`");
  app.add_flag("--validate-only", flags.validate_only,
               "Only asks whether the request is valid, and what it takes");
}

// How many images are asked for.
int ImageCount(const GenerationFlags& flags) {
  return flags.prior.count.value_or(std::max<int>(static_cast<int>(flags.prior.seeds.size()), 1));
}

void CheckPreviewFlags(const CLI::App& app, const GenerationFlags& flags) {
  RefuseAlone(app, "--preview-every", "--preview-to");
  if (flags.preview.empty()) return;
  if (IsStandardOutput(flags.preview))
    throw CLI::ValidationError("--preview-to", "previews are files, name one");
  RefuseUnlessOk("--preview-to", CheckFileName(flags.preview, ExtensionsOf(v1::OUTPUT_FORMAT_PNG)));
  if (flags.preview == flags.output.output) {
    throw CLI::ValidationError("--preview-to and --output contradict each other: they are the same file");
  }
}

void CheckGenerationFlags(const CLI::App& app, const GenerationFlags& flags) {
  if (!HasPrompt(flags.prior) && flags.image_embedding.empty()) {
    throw CLI::RequiredError("a prompt, --mix-text, --mix-image, --mix-embedding or --image-embedding");
  }
  CheckPriorFlags(app, flags.prior);
  // Settings of the prior are no contradiction: they say how it would work.
  for (const char* flag :
       {"prompt", "--negative-prompt", "--negative-prior-prompt", "--strict-prompt", "--prior-image",
        "--prior-embedding", "--mix-text", "--mix-image", "--mix-embedding"}) {
    RefuseTogether(app, flag, "--image-embedding",
                   "the embedding takes the place of what the prior makes of a prompt");
  }
  const v1::OutputFormat format = CheckOutputFlags(flags.output);
  if (flags.embed_parameters && format != v1::OUTPUT_FORMAT_PNG) {
    throw CLI::ValidationError("--embed-parameters",
                               absl::StrCat("goes with png, and the file is ", FormatName(format)));
  }
  RefuseJsonBesideFile(app, flags.output.output);
  if (const int count = ImageCount(flags); count > 1 && OutputDescriptor(flags.output.output) >= 0) {
    throw CLI::ValidationError("--output",
                               absl::StrCat(flags.output.output, " takes one image, not ", count));
  }
  CheckPreviewFlags(app, flags);
  RefuseAlone(app, "--detach", "--request-id");
  RefuseTogether(app, "--detach", "--validate-only", "there is no work that could go on");
  for (const char* flag : {"--output", "--preview-to"}) {
    RefuseTogether(app, flag, "--validate-only", "no image is made");
  }
}

absl::Status SetEmbeddings(const GenerationFlags& flags, v1::GenerateRequest& request) {
  if (!flags.image_embedding.empty()) {
    absl::StatusOr<v1::Embedding> embedding = ReadEmbeddingFile("--image-embedding", flags.image_embedding);
    if (!embedding.ok()) return embedding.status();
    *request.mutable_image_embedding() = *std::move(embedding);
  }
  if (!flags.negative_image_embedding.empty()) {
    absl::StatusOr<v1::Embedding> embedding = ReadEmbeddingFile(
        "--negative-image-embedding", flags.negative_image_embedding, EmbeddingRole::kNegative);
    if (!embedding.ok()) return embedding.status();
    *request.mutable_negative_image_embedding() = *std::move(embedding);
  }
  return absl::OkStatus();
}

void SetPlainFields(const GenerationFlags& flags, v1::GenerateRequest& request) {
  if (flags.width) request.set_width(*flags.width);
  if (flags.height) request.set_height(*flags.height);
  if (flags.steps) request.set_steps(*flags.steps);
  if (flags.guidance_scale) request.set_guidance_scale(*flags.guidance_scale);
  if (flags.sampler) request.set_sampler(Samplers().at(*flags.sampler));
  if (flags.eta) request.set_eta(*flags.eta);
  SetOutput(flags.output, *request.mutable_output());
  if (flags.embed_parameters) request.mutable_output()->set_embed_parameters(true);
  if (!flags.preview.empty()) {
    request.mutable_preview()->set_every_steps(flags.preview_every.value_or(kPreviewSteps));
  }
  if (flags.priority) request.set_priority(Priorities().at(*flags.priority));
  if (flags.request_id) request.set_request_id(*flags.request_id);
  if (flags.detach) request.set_detach(true);
  if (flags.validate_only) request.set_validate_only(true);
}

}  // namespace

void AddOutputFlags(CLI::App& app, OutputFlags& flags, const std::vector<std::string>& formats) {
  app.option_defaults()->group("Output");
  app.add_option("-o,--output", flags.output,
                 "File to write, - for the standard output; several become FILE-0, FILE-1, ... before the "
                 "extension (default: "
                 "image.png, or as the format is called)")
      ->check(FileName());
  app.add_option("--format", flags.format,
                 "What is written (default: by the file's extension, png for one without)")
      ->check(CLI::IsMember(formats));
  AddNumberFlag<int>(app, "--quality", flags.quality, {.min = 1, .max = 100},
                     "Of jpeg and webp, 1 to 100 (default 90); webp at 100 is lossless");
}

v1::OutputFormat CheckOutputFlags(const OutputFlags& flags) {
  const absl::StatusOr<v1::OutputFormat> format = FormatOfFile(flags.output, flags.format);
  RefuseUnlessOk("--output", format.status());
  if (flags.quality && *format != v1::OUTPUT_FORMAT_JPEG && *format != v1::OUTPUT_FORMAT_WEBP) {
    throw CLI::ValidationError(
        "--quality", absl::StrCat("goes with jpeg and webp, and the file is ", FormatName(*format)));
  }
  return *format;
}

void SetOutput(const OutputFlags& flags, v1::OutputOptions& output) {
  output.set_format(CheckOutputFlags(flags));
  if (flags.quality) output.set_quality(*flags.quality);
}

void AddSizeFlags(CLI::App& app, std::optional<int>& width, std::optional<int>& height) {
  constexpr char kHelp[] = "Pixels, a size that the model takes (default: the model's)";
  AddNumberFlag(app, "--width", width, kAnyCount, kHelp);
  AddNumberFlag(app, "--height", height, kAnyCount, kHelp);
}

void AddGenerationFlags(CLI::App& app, GenerationFlags& flags) {
  app.add_option("--image-embedding", flags.image_embedding, "Embedding file, instead of the prompt")
      ->check(FileName());
  AddPriorFlags(app, flags.prior, "Images");
  AddSamplingFlags(app, flags);
  AddOutputFlags(app, flags.output, {"png", "jpeg", "webp", "raw", "latent"});
  app.add_flag("--embed-parameters", flags.embed_parameters, "Writes how it was made into the PNG file");
  AddPreviewFlags(app, flags);
  AddServingFlags(app, flags);
  app.callback([&app, &flags] { CheckGenerationFlags(app, flags); });
}

int RunTask(const GenerationFlags& flags, const SetTask& set_task, ImageClient& client,
            const CallOptions& call, const CommandOutput& output) {
  GenerateCommand command = {.request = {},
                             .output = flags.output.output,
                             .preview = flags.preview,
                             .terminal = CanRedrawLines(),
                             .call = call};
  SetPlainFields(flags, command.request);
  if (command.output.empty()) command.output = DefaultImageFile(command.request.output().format());
  absl::Status status = SetPrior(flags.prior, command.request);
  if (status.ok()) status = SetEmbeddings(flags, command.request);
  if (status.ok()) status = set_task(command.request);
  if (!status.ok()) return PrintError(status, output);
  return RunGenerate(command, client, output);
}

}  // namespace kandinsky::client
