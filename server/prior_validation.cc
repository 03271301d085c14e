#include "server/prior_validation.h"

#include <utility>

namespace kandinsky {
namespace {

InputImage& StartPicture(GenerationRequest& request) {
  return std::get<InputImage>(request.prior_start->from);
}

}  // namespace

void CheckPriorStart(const v1::PriorStart& start, FieldChecks& checks, GenerationRequest& request,
                     std::vector<RequestInput>& inputs) {
  PriorStart native;
  if (start.has_strength()) native.strength = start.strength();
  native.strength = checks.Strength("prior_start.strength", native.strength, request.prior_steps);
  if (start.has_image()) {
    const std::optional<ImageInfo> info = checks.Picture("prior_start.image", start.image());
    if (info.has_value()) {
      inputs.push_back(PictureForClip({.field = "prior_start.image",
                                       .bytes = start.image(),
                                       .info = *info,
                                       .limits = checks.decode_limits()},
                                      checks.capabilities(), InEach(StartPicture)));
    }
    checks.NeedImageEncoder("prior_start.image");
  } else if (start.has_embedding()) {
    native.from = checks.Embedding("prior_start.embedding", start.embedding());
  } else {
    checks.Violate("prior_start", "must have an image or an embedding");
  }
  request.prior_start = std::move(native);
}

}  // namespace kandinsky
