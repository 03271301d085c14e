#include "clients/cpp/mix_flags.h"

#include <utility>

#include "clients/cpp/input_files.h"
#include "clients/cpp/number_flags.h"

namespace kandinsky::client {
namespace {

constexpr char kText[] = "--mix-text";
constexpr char kImage[] = "--mix-image";
constexpr char kEmbedding[] = "--mix-embedding";
constexpr char kWeight[] = "--mix-weight";
constexpr NumberRange<double> kWeights = kAnyFloat;

absl::Status SetContent(const MixPartFlag& given, v1::MixPart& part) {
  if (given.flag == kText) {
    absl::StatusOr<std::string> text = ReadText(kText, given.value);
    if (text.ok()) part.set_text(*std::move(text));
    return text.status();
  }
  if (given.flag == kImage) {
    absl::StatusOr<std::string> image = ReadImageFile(kImage, given.value);
    if (image.ok()) part.set_image(*std::move(image));
    return image.status();
  }
  absl::StatusOr<v1::Embedding> embedding = ReadEmbeddingFile(kEmbedding, given.value);
  if (embedding.ok()) *part.mutable_embedding() = *std::move(embedding);
  return embedding.status();
}

}  // namespace

void AddMixFlags(CLI::App& app, std::vector<MixPartFlag>& parts) {
  app.option_defaults()->group("Mixture, instead of the prompt");
  // Each is taken when it is read, not, as CLI11 does otherwise, when all are: their order counts.
  const auto add = [&](const char* name, const char* description) {
    app.add_option_function<std::string>(
           name,
           [&parts, name](const std::string& value) {
             parts.push_back({name, value, {}});
           },
           description)
        ->trigger_on_parse();
  };
  add(kText, "A text; can be given several times, like --mix-image and --mix-embedding");
  add(kImage, "An image file");
  add(kEmbedding, "An embedding file");
  app.add_option_function<std::string>(
         kWeight,
         [&parts](const std::string& weight) {
           if (parts.empty() || parts.back().weight) {
             throw CLI::ValidationError(
                 kWeight, "follows the --mix-text, --mix-image or --mix-embedding that it weighs");
           }
           parts.back().weight = ParseNumber(kWeight, weight, kWeights);
         },
         "Weight of the text, image or embedding before it, which may be negative (default 1)")
      ->type_name("FLOAT")
      ->trigger_on_parse();
}

absl::Status SetMix(const std::vector<MixPartFlag>& parts, v1::Mix& mix) {
  for (const MixPartFlag& given : parts) {
    v1::MixPart& part = *mix.add_parts();
    if (absl::Status status = SetContent(given, part); !status.ok()) return status;
    if (given.weight) part.set_weight(*given.weight);
  }
  return absl::OkStatus();
}

}  // namespace kandinsky::client
