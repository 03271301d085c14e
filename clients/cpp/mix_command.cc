#include "clients/cpp/mix_command.h"

#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "clients/cpp/generation_flags.h"
#include "clients/cpp/input_files.h"
#include "clients/cpp/number_flags.h"

namespace kandinsky {
namespace {

constexpr NumberRange<double> kWeights = {.min = -100, .max = 100};

enum class IngredientKind { kText, kImage, kEmbedding };

// A part of the mix as it was given.
struct Ingredient {
  IngredientKind kind = IngredientKind::kText;
  std::string value;  // text or file
  std::optional<double> weight;
};

struct MixFlags {
  GenerationFlags generation;
  std::vector<Ingredient> ingredients;
};

absl::Status SetContent(const Ingredient& ingredient, v1::MixPart& part) {
  switch (ingredient.kind) {
    case IngredientKind::kText: {
      absl::StatusOr<std::string> text = ReadText("--text", ingredient.value);
      if (!text.ok()) return text.status();
      part.set_text(*std::move(text));
      break;
    }
    case IngredientKind::kImage: {
      absl::StatusOr<std::string> image = ReadImageFile("--image", ingredient.value);
      if (!image.ok()) return image.status();
      part.set_image(*std::move(image));
      break;
    }
    case IngredientKind::kEmbedding: {
      absl::StatusOr<v1::Embedding> embedding = ReadEmbeddingFile("--embedding", ingredient.value);
      if (!embedding.ok()) return embedding.status();
      *part.mutable_embedding() = *std::move(embedding);
      break;
    }
  }
  return absl::OkStatus();
}

absl::Status SetMix(const MixFlags& flags, v1::GenerateRequest& request) {
  for (const Ingredient& ingredient : flags.ingredients) {
    v1::MixPart& part = *request.mutable_mix()->add_parts();
    if (absl::Status status = SetContent(ingredient, part); !status.ok()) return status;
    if (ingredient.weight) part.set_weight(*ingredient.weight);
  }
  return absl::OkStatus();
}

// The ingredients and their weights in the order in which they are given: each is taken when it is read, not,
// as CLI11 does otherwise, when all are.
void AddIngredientFlags(CLI::App& app, MixFlags& flags) {
  const auto add = [&](const char* name, IngredientKind kind, const char* description) {
    app.add_option_function<std::string>(
           name,
           [&flags, kind](const std::string& value) {
             flags.ingredients.push_back({kind, value, {}});
           },
           description)
        ->trigger_on_parse();
  };
  add("--text", IngredientKind::kText, "A text; can be given several times, like --image and --embedding");
  add("--image", IngredientKind::kImage, "An image file");
  add("--embedding", IngredientKind::kEmbedding, "An embedding file");
  app.add_option_function<std::string>(
         "--weight",
         [&flags](const std::string& weight) {
           if (flags.ingredients.empty() || flags.ingredients.back().weight) {
             throw CLI::ValidationError("--weight",
                                        "follows the --text, --image or --embedding that it weighs");
           }
           flags.ingredients.back().weight = ParseNumber("--weight", weight, kWeights);
         },
         "Weight of the text, image or embedding before it, -100 to 100 (default 1)")
      ->type_name("FLOAT")
      ->trigger_on_parse();
}

}  // namespace

void AddMixCommand(CommandSet& commands) {
  const auto flags = std::make_shared<MixFlags>();
  CLI::App& app = commands.Add(
      "mix",
      "Makes images from texts, images and embeddings, e.g. --text cat --weight 0.3 --image sea.png --weight "
      "0.7",
      [flags](ImageClient& client, const CallOptions& call, const CommandOutput& output) {
        return RunTask(
            flags->generation, [&](v1::GenerateRequest& request) { return SetMix(*flags, request); }, client,
            call, output);
      });
  app.footer("Example: kandinsky mix --text \"a cat\" --weight 0.3 --image sea.png --weight 0.7");
  AddIngredientFlags(app, *flags);
  AddPromptlessFlags(app, flags->generation);
  app.callback([flags, &app] {
    if (flags->ingredients.empty()) throw CLI::RequiredError("--text, --image or --embedding");
    CheckGenerationFlags(app, flags->generation);
  });
}

}  // namespace kandinsky
