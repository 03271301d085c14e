#include "pipeline/weights/lora.h"

#include <ATen/ATen.h>

#include <map>
#include <utility>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "absl/strings/strip.h"
#include "base/status_macros.h"

namespace kandinsky {
namespace {

constexpr absl::string_view kProcessor = ".processor.";

// The two factors of one layer's adapter.
struct Factors {
  torch::Tensor down;
  torch::Tensor up;
};

// By the name of the adapted weight.
using FactorsByWeight = std::map<std::string, Factors>;

absl::Status Refuse(const Checkpoint& checkpoint, absl::string_view key, absl::string_view why) {
  return absl::InvalidArgumentError(absl::StrCat(checkpoint.path(), ": \"", key, "\" ", why));
}

std::string ShapeText(const torch::Tensor& tensor) {
  return absl::StrCat("[", absl::StrJoin(tensor.sizes(), ", "), "]");
}

// "a.processor.to_out_lora" -> "a.to_out.0.weight"; empty for a name of another form.
std::string WeightName(absl::string_view adapter) {
  const size_t processor = adapter.rfind(kProcessor);
  if (processor == absl::string_view::npos) return "";
  absl::string_view layer = adapter.substr(processor + kProcessor.size());
  if (!absl::ConsumeSuffix(&layer, "_lora")) return "";
  return absl::StrCat(adapter.substr(0, processor), ".", layer, layer == "to_out" ? ".0" : "", ".weight");
}

absl::Status Collect(const Checkpoint& checkpoint, FactorsByWeight& factors) {
  for (const std::string& key : checkpoint.names()) {
    absl::string_view name = key;
    if (!absl::ConsumePrefix(&name, "unet.")) absl::ConsumePrefix(&name, "prior.");
    const bool down = absl::EndsWith(name, ".down.weight");
    if (!down && !absl::EndsWith(name, ".up.weight")) return Refuse(checkpoint, key, "is no adapter's key");
    name.remove_suffix(down ? sizeof ".down.weight" - 1 : sizeof ".up.weight" - 1);
    const std::string weight = WeightName(name);
    if (weight.empty()) return Refuse(checkpoint, key, "is no adapter's key");
    ASSIGN_OR_RETURN(torch::Tensor factor, checkpoint.Get(key));
    if (factor.dim() != 2) return Refuse(checkpoint, key, "is no matrix");
    (down ? factors[weight].down : factors[weight].up) = factor.to(torch::kFloat);
  }
  return absl::OkStatus();
}

absl::Status CheckFit(const Checkpoint& checkpoint, const std::string& weight, const Factors& factors,
                      const torch::Tensor* target) {
  if (target == nullptr) return Refuse(checkpoint, weight, "is adapted but no weight of this model");
  if (!factors.down.defined() || !factors.up.defined()) {
    return Refuse(checkpoint, weight, "has only one of the factors down and up");
  }
  const bool fits = target->dim() == 2 && factors.up.size(0) == target->size(0) &&
                    factors.down.size(1) == target->size(1) && factors.up.size(1) == factors.down.size(0);
  if (fits) return absl::OkStatus();
  return Refuse(checkpoint, weight,
                absl::StrCat("is ", ShapeText(*target), " and does not fit the factors ",
                             ShapeText(factors.up), " and ", ShapeText(factors.down)));
}

}  // namespace

std::string LoraName(absl::string_view layer) {
  absl::ConsumeSuffix(&layer, ".0");
  const size_t dot = layer.rfind('.');
  return absl::StrCat(layer.substr(0, dot), kProcessor, layer.substr(dot + 1), "_lora");
}

absl::Status MergeLora(torch::nn::Module& module, const Checkpoint& checkpoint, double scale) {
  FactorsByWeight factors;
  RETURN_IF_ERROR(Collect(checkpoint, factors));
  if (factors.empty()) return absl::InvalidArgumentError(absl::StrCat(checkpoint.path(), ": no adapters"));
  const at::NoGradGuard no_grad;
  auto parameters = module.named_parameters();
  for (const auto& [weight, pair] : factors) {
    RETURN_IF_ERROR(CheckFit(checkpoint, weight, pair, parameters.find(weight)));
  }
  try {
    for (const auto& [weight, pair] : factors) {
      // Not in place: a loaded weight may be backed by its file.
      torch::Tensor& target = *parameters.find(weight);
      const torch::Tensor change = at::mm(pair.up, pair.down).mul_(scale).to(target.device());
      target.set_data((target.data().to(torch::kFloat) + change).to(target.scalar_type()));
    }
  } catch (const std::exception& error) {
    return absl::InternalError(absl::StrCat(checkpoint.path(), ": cannot be merged: ", error.what()));
  }
  return absl::OkStatus();
}

}  // namespace kandinsky
