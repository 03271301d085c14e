#include "server/prior_validation.h"

#include <optional>
#include <string>

#include "absl/strings/str_cat.h"

namespace kandinsky::server {
namespace {

InputImage& StartImage(GenerationRequest& request) { return std::get<InputImage>(request.prior_start->from); }

// Checks the image of a part; its place in the native request is empty until it is prepared.
void AddPartImage(const std::string& field, const std::string& bytes, size_t index, FieldChecks& checks,
                  std::vector<RequestInput>& inputs) {
  const std::optional<EncodedImage> image = checks.CheckedImage(field, bytes);
  if (!image.has_value()) return;
  const auto place = [index](GenerationRequest& request) -> InputImage& {
    return std::get<InputImage>(request.mix->parts[index].content);
  };
  inputs.push_back(ImageForClip(*image, checks.capabilities(), InEach(place)));
}

MixPart ReadPart(const v1::MixPart& part, int index, FieldChecks& checks, std::vector<RequestInput>& inputs) {
  const std::string path = absl::StrCat("mix.parts[", index, "]");
  MixPart native;
  if (part.has_text()) {
    checks.Prompt(path + ".text", part.text());
    native.content = part.text();
  } else if (part.has_image()) {
    AddPartImage(path + ".image", part.image(), static_cast<size_t>(index), checks, inputs);
    native.content = InputImage();
  } else if (part.has_embedding()) {
    native.content = checks.Embedding(path + ".embedding", part.embedding());
  } else {
    checks.Violate(path, "must have a text, an image or an embedding");
  }
  if (part.has_weight()) native.weight = part.weight();
  return native;
}

}  // namespace

void ReadMix(const v1::Mix& mix, FieldChecks& checks, GenerationRequest& request,
             std::vector<RequestInput>& inputs) {
  std::vector<MixPart>& parts = request.mix.emplace().parts;
  parts.resize(static_cast<size_t>(mix.parts_size()));
  // The model refuses a longer list as a whole.
  const int read = mix.parts_size() > checks.capabilities().max_mix_parts ? 0 : mix.parts_size();
  for (int i = 0; i < read; ++i) parts[static_cast<size_t>(i)] = ReadPart(mix.parts(i), i, checks, inputs);
}

void ReadPriorStart(const v1::PriorStart& start, FieldChecks& checks, GenerationRequest& request,
                    std::vector<RequestInput>& inputs) {
  PriorStart& native = request.prior_start.emplace();
  if (start.has_strength()) native.strength = start.strength();
  if (start.has_image()) {
    const std::optional<EncodedImage> image = checks.CheckedImage("prior_start.image", start.image());
    if (image.has_value()) {
      inputs.push_back(ImageForClip(*image, checks.capabilities(), InEach(StartImage)));
    }
  } else if (start.has_embedding()) {
    native.from = checks.Embedding("prior_start.embedding", start.embedding());
  } else {
    checks.Violate("prior_start", "must have an image or an embedding");
  }
}

}  // namespace kandinsky::server
