#include "clients/cpp/generation_flags.h"

#include <unistd.h>

#include <map>
#include <utility>

#include "clients/cpp/input_files.h"
#include "clients/cpp/output_format.h"

namespace kandinsky {
namespace {

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
  app.add_option("--steps", flags.steps, "Denoising steps (default 50)");
  app.add_option("--guidance-scale", flags.guidance_scale,
                 "How closely to follow the prompt; 1 or less: off (default 4)");
  app.add_option("--sampler", flags.sampler, "The sampler (default: the model's own)")
      ->check(CLI::IsMember(&Samplers()));
  app.add_option("--eta", flags.eta, "Noise of ddim, 0 to 1 (default 0)");
  app.add_option("--negative-image-embedding", flags.negative_image_embedding,
                 "Embedding file, for the unconditional half of the guidance");
}

void AddPreviewFlags(CLI::App& app, GenerationFlags& flags) {
  CLI::Option* const preview = app.add_option(
      "--preview-to,--preview", flags.preview,
      "File for small pictures of the unfinished image, each replacing the one before; with {step} "
      "in its name all are kept, {image} is the image's number");
  app.add_option("--preview-every", flags.preview_every, "Denoising steps from one preview to the next")
      ->check(CLI::Range(1, 1000))
      ->needs(preview)
      ->capture_default_str();
}

void AddServingFlags(CLI::App& app, GenerationFlags& flags) {
  app.option_defaults()->group("Call");
  app.add_option("--priority", flags.priority, "How it stands against other requests (default normal)")
      ->check(CLI::IsMember(&Priorities()));
  CLI::Option* const request_id =
      app.add_option("--request-id", flags.request_id,
                     "Names the request; the same call again joins it or gets its result (default: drawn)");
  app.add_flag("--detach", flags.detach, "The server goes on when this call ends; collect with `get`")
      ->needs(request_id);
  app.add_flag("--validate-only", flags.validate_only,
               "Only asks whether the request is valid, and what it takes");
}

void AddCommonFlags(CLI::App& app, GenerationFlags& flags) {
  AddSamplingFlags(app, flags);
  AddOutputFlags(app, flags.output, {"png", "jpeg", "webp", "raw", "latent"});
  app.add_flag("--embed-parameters", flags.embed_parameters, "Writes how it was made into the PNG file");
  AddPreviewFlags(app, flags);
  AddServingFlags(app, flags);
}

// Throws CLI::ParseError for flags that make no sense together.
void CheckPrompted(const GenerationFlags& flags) {
  CheckPriorFlags(flags.prior);
  if (flags.prior.prompt.empty() && flags.image_embedding.empty()) {
    throw CLI::RequiredError("prompt or --image-embedding");
  }
}

v1::OutputFormat FormatOf(const OutputFlags& flags) {
  return flags.format.empty() ? FormatOfFile(flags.output) : OutputFormats().at(flags.format);
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
  if (!flags.preview.empty()) request.mutable_preview()->set_every_steps(flags.preview_every);
  if (flags.priority) request.set_priority(Priorities().at(*flags.priority));
  if (flags.request_id) request.set_request_id(*flags.request_id);
  if (flags.detach) request.set_detach(true);
  if (flags.validate_only) request.set_validate_only(true);
}

}  // namespace

void AddOutputFlags(CLI::App& app, OutputFlags& flags, const std::vector<std::string>& formats) {
  app.option_defaults()->group("Output");
  app.add_option(
      "-o,--output", flags.output,
      "File to write; several become FILE-0, FILE-1, ... before the extension (default: image.png, or "
      "as the format is called)");
  app.add_option("--format", flags.format, "What is written (default: by the file's extension, else png)")
      ->check(CLI::IsMember(formats));
  app.add_option("--quality", flags.quality,
                 "Of jpeg and webp, 1 to 100 (default 90); webp at 100 is lossless")
      ->check(CLI::Range(1, 100));
}

void SetOutput(const OutputFlags& flags, v1::OutputOptions& output) {
  output.set_format(FormatOf(flags));
  if (flags.quality) output.set_quality(*flags.quality);
}

void AddSizeFlags(CLI::App& app, std::optional<int>& width, std::optional<int>& height) {
  app.add_option("--width", width, "Pixels, a multiple of 64 (default 512)");
  app.add_option("--height", height, "Pixels, a multiple of 64 (default 512)");
}

void AddPromptedFlags(CLI::App& app, GenerationFlags& flags) {
  CLI::Option* const prompt = AddPromptFlag(app, flags.prior);
  app.add_option("--image-embedding", flags.image_embedding, "Embedding file, instead of the prompt")
      ->excludes(prompt);
  AddPriorFlags(app, flags.prior, "Images");
  AddPriorStartFlags(app, flags.prior);
  AddCommonFlags(app, flags);
  app.callback([&flags] { CheckPrompted(flags); });
}

void AddPromptlessFlags(CLI::App& app, GenerationFlags& flags) {
  AddPriorFlags(app, flags.prior, "Images");
  AddCommonFlags(app, flags);
}

int RunTask(const GenerationFlags& flags, const SetTask& set_task, ImageClient& client,
            const CallOptions& call, const CommandOutput& output) {
  GenerateCommand command = {.request = {},
                             .output = flags.output.output,
                             .preview = flags.preview,
                             .terminal = isatty(STDERR_FILENO) == 1,
                             .call = call};
  if (command.output.empty()) command.output = DefaultImageFile(FormatOf(flags.output));
  SetPlainFields(flags, command.request);
  absl::Status status = SetPrior(flags.prior, command.request);
  if (status.ok()) status = SetEmbeddings(flags, command.request);
  if (status.ok()) status = set_task(command.request);
  if (!status.ok()) return PrintError(status, output);
  return RunGenerate(command, client, output);
}

}  // namespace kandinsky
