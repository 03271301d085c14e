#include "clients/cpp/prior_flags.h"

#include <limits>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "clients/cpp/input_files.h"
#include "clients/cpp/number_flags.h"
#include "clients/cpp/usage.h"

namespace kandinsky::client {
namespace {

constexpr NumberRange<uint64_t> kSeeds = {
    .min = 0, .max = std::numeric_limits<uint64_t>::max(), .instead = "leave it out for a random one"};

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

absl::Status SetText(const std::string& flag, const std::string& given, std::string& field) {
  absl::StatusOr<std::string> text = ReadText(flag, given);
  if (text.ok()) field = *std::move(text);
  return text.status();
}

// The fields that have the same names in both requests.
template <typename Request>
absl::Status SetCommon(const PriorFlags& flags, Request& request) {
  request.set_model(flags.model);
  request.set_adapter(flags.adapter);
  absl::Status status = SetText("prompt", absl::StrJoin(flags.prompt, " "), *request.mutable_prompt());
  if (status.ok() && flags.negative_prompt) {
    status = SetText("--negative-prompt", *flags.negative_prompt, *request.mutable_negative_prompt());
  }
  if (status.ok() && flags.negative_prior_prompt) {
    status = SetText("--negative-prior-prompt", *flags.negative_prior_prompt,
                     *request.mutable_negative_prior_prompt());
  }
  if (!status.ok()) return status;
  if (flags.strict_prompt) request.set_strict_prompt(true);
  if (flags.steps) request.set_prior_steps(*flags.steps);
  if (flags.guidance_scale) request.set_prior_guidance_scale(*flags.guidance_scale);
  if (flags.seed) request.set_seed(*flags.seed);
  for (const uint64_t seed : flags.seeds) request.add_seeds(seed);
  if (HasStart(flags)) return SetStart(flags, *request.mutable_prior_start());
  return flags.mix.empty() ? absl::OkStatus() : SetMix(flags.mix, *request.mutable_mix());
}

}  // namespace

void AddPriorFlags(CLI::App& app, PriorFlags& flags, const std::string& things) {
  app.add_option(
      "prompt", flags.prompt,
      "What to draw; several words need no quotes, after -- no word is a flag, and - alone reads it "
      "from the standard input");
  app.add_option("--negative-prompt", flags.negative_prompt, "What to keep away from");
  app.add_option("--negative-prior-prompt", flags.negative_prior_prompt,
                 "What to keep away from, for the prior's unconditional pass only");
  app.add_flag("--strict-prompt", flags.strict_prompt,
               "A prompt that is too long is an error instead of being cut");
  AddNumberFlag(app, "--seed", flags.seed, kSeeds,
                "Makes the result repeatable, 0 to 2^64 - 1; number i uses seed + i (default: drawn)");
  AddNumbersFlag(app, "--seeds", flags.seeds, kSeeds, "One seed for each instead, with commas, as 7,8,12");
  AddNumberFlag(app, "--count", flags.count, kAnyCount,
                absl::StrCat(things, " to make (default 1, or one for each of --seeds)"));
  AddModelFlag(app, flags.model);
  app.add_option("--adapter", flags.adapter, "Name of a set of the model's adapters (default: none)")
      ->check(Utf8Text());
  app.option_defaults()->group("Prior");
  AddNumberFlag(app, "--prior-steps", flags.steps, kAnyCount,
                "Steps of the diffusion prior (default: the model's)");
  AddNumberFlag(app, "--prior-guidance-scale", flags.guidance_scale, kAnyFloat,
                "Guidance of the prior (default: the model's)");
  app.add_option("--prior-image", flags.start_image, "Image file that the prior starts from instead of noise")
      ->check(FileName());
  app.add_option("--prior-embedding", flags.start_embedding, "The same with an embedding file")
      ->check(FileName());
  AddNumberFlag<double>(app, "--prior-strength", flags.start_strength,
                        {.min = 0, .max = 1, .above_min = true},
                        "How far the prior may leave it, above 0 to 1 (default 0.3)");
  AddMixFlags(app, flags.mix);
}

void AddModelFlag(CLI::App& app, std::string& model) {
  app.add_option("--model", model, "Name of the model (default: the server's)")->check(Utf8Text());
}

bool HasPrompt(const PriorFlags& flags) { return !flags.prompt.empty() || !flags.mix.empty(); }

void CheckPriorFlags(const CLI::App& app, const PriorFlags& flags) {
  RefuseTogether(app, "--seed", "--seeds", "give one of them");
  RefuseTogether(app, "--prior-image", "--prior-embedding", "the prior starts from one of them");
  if (!flags.mix.empty()) {
    const std::string& part = flags.mix.front().flag;
    RefuseTogether(app, "prompt", part, "the mixture takes the prompt's place; make the prompt a --mix-text");
    for (const char* start : {"--prior-image", "--prior-embedding"}) {
      RefuseTogether(app, start, part, "only a prompt can start from it");
    }
  }
  if (flags.count && !flags.seeds.empty() && flags.seeds.size() != static_cast<size_t>(*flags.count)) {
    throw CLI::ValidationError(absl::StrCat("--count ", *flags.count, " and --seeds with ",
                                            flags.seeds.size(), " contradict each other: give one of them"));
  }
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

}  // namespace kandinsky::client
