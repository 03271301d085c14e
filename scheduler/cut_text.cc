#include "scheduler/cut_text.h"

#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"

namespace kandinsky {
namespace {

constexpr char kField[] = "kandinsky/cut_text_field";
constexpr char kImageIndex[] = "kandinsky/cut_text_image_index";

}  // namespace

absl::Status CutTextError(const PromptTokens& text, int image_index) {
  absl::Status status = absl::InvalidArgumentError(
      absl::StrCat("has ", text.tokens, " tokens, the model sees only ", text.kept_tokens));
  status.SetPayload(kField, absl::Cord(text.field));
  status.SetPayload(kImageIndex, absl::Cord(absl::StrCat(image_index)));
  return status;
}

std::optional<CutText> CutTextOf(const absl::Status& status) {
  const auto field = status.GetPayload(kField);
  const auto index = status.GetPayload(kImageIndex);
  if (!field.has_value() || !index.has_value()) return std::nullopt;
  CutText cut = {.field = std::string(*field)};
  if (!absl::SimpleAtoi(std::string(*index), &cut.image_index)) return std::nullopt;
  return cut;
}

}  // namespace kandinsky
