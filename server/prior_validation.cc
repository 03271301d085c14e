#include "server/prior_validation.h"

#include <optional>

namespace kandinsky {
namespace {

InputImage& StartPicture(GenerationRequest& request) {
  return std::get<InputImage>(request.prior_start->from);
}

}  // namespace

void ReadPriorStart(const v1::PriorStart& start, FieldChecks& checks, GenerationRequest& request,
                    std::vector<RequestInput>& inputs) {
  PriorStart& native = request.prior_start.emplace();
  if (start.has_strength()) native.strength = start.strength();
  if (start.has_image()) {
    const std::optional<EncodedPicture> picture = checks.Picture("prior_start.image", start.image());
    if (picture.has_value()) {
      inputs.push_back(PictureForClip(*picture, checks.capabilities(), InEach(StartPicture)));
    }
  } else if (start.has_embedding()) {
    native.from = checks.Embedding("prior_start.embedding", start.embedding());
  } else {
    checks.Violate("prior_start", "must have an image or an embedding");
  }
}

}  // namespace kandinsky
