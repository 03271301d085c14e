#include "pipeline/weights/lora_keys.h"

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_replace.h"
#include "absl/strings/strip.h"

namespace kandinsky {
namespace {

constexpr absl::string_view kProcessor = ".processor.";
constexpr absl::string_view kFlattened = "lora_unet_";

struct Ending {
  absl::string_view text;
  LoraRole role;
};

constexpr Ending kPeftEndings[] = {{".lora_A.weight", LoraRole::kDown}, {".lora_B.weight", LoraRole::kUp}};
constexpr Ending kDottedEndings[] = {{".lora.down.weight", LoraRole::kDown},
                                     {".lora.up.weight", LoraRole::kUp},
                                     {".lora.alpha", LoraRole::kAlpha}};
constexpr Ending kProcessorEndings[] = {{"_lora.down.weight", LoraRole::kDown},
                                        {"_lora.up.weight", LoraRole::kUp},
                                        {"_lora.alpha", LoraRole::kAlpha}};
constexpr Ending kFlattenedEndings[] = {
    {".lora_down.weight", LoraRole::kDown}, {".lora_up.weight", LoraRole::kUp}, {".alpha", LoraRole::kAlpha}};
constexpr Ending kPlainAlpha[] = {{".alpha", LoraRole::kAlpha}};

// Takes one of `endings` off `name`.
template <size_t N>
const Ending* ConsumeEnding(const Ending (&endings)[N], absl::string_view& name) {
  for (const Ending& ending : endings) {
    if (absl::ConsumeSuffix(&name, ending.text)) return &ending;
  }
  return nullptr;
}

// "a.processor.to_out" -> "a.to_out.0".
std::string LayerOfProcessor(absl::string_view name) {
  std::string layer = absl::StrReplaceAll(name, {{kProcessor, "."}});
  if (absl::EndsWith(layer, ".to_out")) layer += ".0";
  return layer;
}

}  // namespace

const char kLoraForms[] =
    "keys are LAYER.lora_A.weight and LAYER.lora_B.weight, LAYER.lora.down.weight and LAYER.lora.up.weight, "
    "ATTENTION.processor.to_q_lora.down.weight and .up.weight, or lora_unet_LAYER.lora_down.weight and "
    ".lora_up.weight with _ for every dot of LAYER; unet. or prior. may stand before them, and LAYER.alpha "
    "beside";

LoraKeys LoraKeysOf(absl::string_view layer, LoraForm form) {
  if (form == LoraForm::kPeft) {
    return {absl::StrCat(layer, ".lora_A.weight"), absl::StrCat(layer, ".lora_B.weight")};
  }
  absl::ConsumeSuffix(&layer, ".0");
  const size_t dot = layer.rfind('.');
  const std::string name = dot == absl::string_view::npos
                               ? absl::StrCat("processor.", layer)
                               : absl::StrCat(layer.substr(0, dot), kProcessor, layer.substr(dot + 1));
  return {absl::StrCat(name, "_lora.down.weight"), absl::StrCat(name, "_lora.up.weight")};
}

std::string KeyInOtherForm(absl::string_view key) {
  absl::string_view layer = key;
  if (const Ending* peft = ConsumeEnding(kPeftEndings, layer); peft != nullptr) {
    const LoraKeys keys = LoraKeysOf(layer, LoraForm::kAttentionProcessor);
    return peft->role == LoraRole::kDown ? keys.down : keys.up;
  }
  const Ending* processor = ConsumeEnding(kProcessorEndings, layer);
  if (processor == nullptr || processor->role == LoraRole::kAlpha) return "";
  const LoraKeys keys = LoraKeysOf(LayerOfProcessor(layer), LoraForm::kPeft);
  return processor->role == LoraRole::kDown ? keys.down : keys.up;
}

std::optional<LoraKey> ParseLoraKey(absl::string_view key) {
  if (absl::ConsumePrefix(&key, kFlattened)) {
    const Ending* ending = ConsumeEnding(kFlattenedEndings, key);
    if (ending == nullptr || key.empty()) return std::nullopt;
    return LoraKey{.role = ending->role, .layer = std::string(key), .flattened = true};
  }
  if (const Ending* ending = ConsumeEnding(kProcessorEndings, key); ending != nullptr) {
    return LoraKey{.role = ending->role, .layer = LayerOfProcessor(key)};
  }
  const Ending* ending = ConsumeEnding(kPeftEndings, key);
  if (ending == nullptr) ending = ConsumeEnding(kDottedEndings, key);
  if (ending == nullptr) ending = ConsumeEnding(kPlainAlpha, key);
  if (ending == nullptr || key.empty()) return std::nullopt;
  return LoraKey{.role = ending->role, .layer = absl::StrReplaceAll(key, {{kProcessor, "."}})};
}

}  // namespace kandinsky
