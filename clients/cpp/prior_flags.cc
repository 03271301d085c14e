#include "clients/cpp/prior_flags.h"

#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "clients/cpp/input_files.h"

namespace kandinsky {
namespace {

absl::Status SetStart(const PriorFlags& flags, v1::PriorStart& start) {
  if (!flags.start_image.empty()) {
    absl::StatusOr<std::string> image = ReadImageFile("--prior-image", flags.start_image);
    if (!image.ok()) return image.status();
    start.set_image(*std::move(image));
  } else {
    absl::StatusOr<v1::Embedding> embedding = ReadEmbeddingFile("--prior-embedding", flags.start_embedding);
    if (!embedding.ok()) return embedding.status();
    *start.mutable_embedding() = *std::move(embedding);
  }
  if (flags.start_strength) start.set_strength(*flags.start_strength);
  return absl::OkStatus();
}

bool HasStart(const PriorFlags& flags) {
  return !flags.start_image.empty() || !flags.start_embedding.empty();
}

// The fields that have the same names in both requests.
template <typename Request>
absl::Status SetCommon(const PriorFlags& flags, Request& request) {
  request.set_model(flags.model);
  request.set_adapter(flags.adapter);
  request.set_prompt(absl::StrJoin(flags.prompt, " "));
  if (flags.negative_prompt) request.set_negative_prompt(*flags.negative_prompt);
  if (flags.negative_prior_prompt) request.set_negative_prior_prompt(*flags.negative_prior_prompt);
  if (flags.strict_prompt) request.set_strict_prompt(true);
  if (flags.steps) request.set_prior_steps(*flags.steps);
  if (flags.guidance_scale) request.set_prior_guidance_scale(*flags.guidance_scale);
  if (flags.seed) request.set_seed(*flags.seed);
  for (const uint64_t seed : flags.seeds) request.add_seeds(seed);
  return HasStart(flags) ? SetStart(flags, *request.mutable_prior_start()) : absl::OkStatus();
}

}  // namespace

CLI::Option* AddPromptFlag(CLI::App& app, PriorFlags& flags) {
  return app.add_option("prompt", flags.prompt,
                        "What to draw; several words need no quotes, and after -- no word is a flag");
}

void AddPriorFlags(CLI::App& app, PriorFlags& flags, const std::string& things) {
  app.add_option("--negative-prompt", flags.negative_prompt, "What to keep away from");
  app.add_option("--negative-prior-prompt", flags.negative_prior_prompt,
                 "What to keep away from, for the prior's unconditional pass only");
  app.add_flag("--strict-prompt", flags.strict_prompt,
               "A prompt that is too long is an error instead of being cut");
  // The checks are needed: a negative number would wrap around.
  CLI::Option* const seed =
      app.add_option("--seed", flags.seed,
                     "Makes the result repeatable; number i uses seed + i (default: drawn)")
          ->check(CLI::NonNegativeNumber);
  app.add_option("--seeds", flags.seeds, "One seed for each instead, as 7,8,12")
      ->check(CLI::NonNegativeNumber)
      ->delimiter(',')
      ->allow_extra_args(false)
      ->excludes(seed);
  app.add_option("--count", flags.count, absl::StrCat(things, " to make (default 1)"))
      ->check(CLI::Range(1, 64));
  AddModelFlag(app, flags.model);
  app.add_option("--adapter", flags.adapter, "Name of a set of the model's adapters (default: none)");
  app.option_defaults()->group("Prior");
  app.add_option("--prior-steps", flags.steps, "Steps of the diffusion prior (default 25)");
  app.add_option("--prior-guidance-scale", flags.guidance_scale, "Guidance of the prior (default 4)");
}

void AddPriorStartFlags(CLI::App& app, PriorFlags& flags) {
  app.option_defaults()->group("Prior");
  CLI::Option* const image = app.add_option("--prior-image", flags.start_image,
                                            "Image file that the prior starts from instead of noise");
  app.add_option("--prior-embedding", flags.start_embedding, "The same with an embedding file")
      ->excludes(image);
  app.add_option("--prior-strength", flags.start_strength,
                 "How far the prior may leave it, above 0 to 1 (default 0.3)");
}

void AddModelFlag(CLI::App& app, std::string& model) {
  app.add_option("--model", model, "Name of the model (default: the server's)");
}

void CheckPriorFlags(const PriorFlags& flags) {
  if (flags.start_strength && !HasStart(flags)) {
    throw CLI::RequiresError("--prior-strength", "--prior-image or --prior-embedding");
  }
}

absl::Status SetPrior(const PriorFlags& flags, v1::GenerateRequest& request) {
  if (flags.count) request.set_image_count(*flags.count);
  return SetCommon(flags, request);
}

absl::Status SetPrior(const PriorFlags& flags, v1::GenerateImageEmbeddingRequest& request) {
  if (flags.count) request.set_count(*flags.count);
  return SetCommon(flags, request);
}

}  // namespace kandinsky
