#include "pipeline/weights/lora.h"

#include <ATen/ATen.h>

#include <map>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "absl/strings/str_replace.h"
#include "absl/strings/strip.h"
#include "base/status_macros.h"
#include "pipeline/weights/lora_keys.h"
#include "pipeline/weights/lora_metadata.h"

namespace kandinsky {
namespace {

using Parameters = torch::OrderedDict<std::string, torch::Tensor>;

constexpr absl::string_view kNetworks[] = {"unet.", "prior."};

// One layer's adapter.
struct Factors {
  torch::Tensor down;
  torch::Tensor up;
  torch::Tensor alpha;
  std::string key;  // of the file, for messages
};

absl::Status Refuse(const Checkpoint& checkpoint, absl::string_view key, absl::string_view why) {
  return absl::InvalidArgumentError(absl::StrCat(checkpoint.path(), ": \"", key, "\" ", why));
}

std::string ShapeText(const torch::Tensor& tensor) {
  return absl::StrCat("[", absl::StrJoin(tensor.sizes(), ", "), "]");
}

// Reads the factors of a file and brings them together by layer.
class LoraReader {
 public:
  LoraReader(const Checkpoint& checkpoint, const Parameters& parameters, const LoraUse& use)
      : checkpoint_(checkpoint), use_(use) {
    for (const auto& parameter : parameters) {
      const absl::string_view name = absl::StripSuffix(parameter.key(), ".weight");
      if (name.size() < parameter.key().size()) {
        unflattened_[absl::StrReplaceAll(name, {{".", "_"}})] = std::string(name);
      }
    }
  }

  absl::Status Read() {
    for (const std::string& key : checkpoint_.names()) {
      absl::string_view name = key;
      absl::string_view prefix;
      for (const absl::string_view network : kNetworks) {
        if (prefix.empty() && absl::ConsumePrefix(&name, network)) prefix = network;
      }
      const bool of_other = !prefix.empty() && absl::StripSuffix(prefix, ".") != use_.network;
      if (of_other && use_.shared) continue;
      if (prefix_.has_value() && *prefix_ != prefix) {
        return Refuse(
            checkpoint_, key,
            "stands beside keys that do not begin as it does: adapters of both networks in one file must "
            "begin with unet. and prior., and the file be given to both");
      }
      prefix_ = prefix;
      RETURN_IF_ERROR(Add(key, name));
    }
    if (!factors_.empty()) return absl::OkStatus();
    return absl::InvalidArgumentError(absl::StrCat(checkpoint_.path(), ": no adapters; ", kLoraForms));
  }

  const std::map<std::string, Factors>& factors() const { return factors_; }
  absl::string_view prefix() const { return prefix_.value_or(""); }

 private:
  absl::Status Add(const std::string& key, absl::string_view name) {
    const std::optional<LoraKey> parsed = ParseLoraKey(name);
    if (!parsed.has_value())
      return Refuse(checkpoint_, key, absl::StrCat("is no adapter's key; ", kLoraForms));
    std::string layer = parsed->layer;
    if (parsed->flattened) {
      const auto found = unflattened_.find(layer);
      if (found == unflattened_.end()) return Refuse(checkpoint_, key, "is of no layer of this model");
      layer = found->second;
    }
    Factors& factors = factors_[layer];
    factors.key = key;
    torch::Tensor* slots[] = {&factors.down, &factors.up, &factors.alpha};
    torch::Tensor& slot = *slots[static_cast<size_t>(parsed->role)];
    if (slot.defined())
      return Refuse(checkpoint_, key, absl::StrCat("adapts the layer ", layer, " a second time"));
    ASSIGN_OR_RETURN(const torch::Tensor stored, checkpoint_.Get(key));
    RETURN_IF_ERROR(CheckValues(key, parsed->role, stored));
    slot = stored.to(torch::kFloat);
    return absl::OkStatus();
  }

  absl::Status CheckValues(const std::string& key, LoraRole role, const torch::Tensor& stored) const {
    if (role == LoraRole::kAlpha) {
      if (stored.numel() != 1) return Refuse(checkpoint_, key, "is not a single number");
    } else if (stored.dim() == 4) {
      return Refuse(checkpoint_, key, "is of a convolution; only linear layers can be adapted");
    } else if (stored.dim() != 2) {
      return Refuse(checkpoint_, key, "is no matrix");
    } else if (!stored.is_floating_point()) {
      return Refuse(checkpoint_, key, "does not hold floating-point numbers");
    }
    if (stored.to(torch::kFloat).isfinite().all().item<bool>()) return absl::OkStatus();
    return Refuse(checkpoint_, key, "contains NaN or infinity");
  }

  const Checkpoint& checkpoint_;
  const LoraUse& use_;
  std::map<std::string, std::string, std::less<>> unflattened_;  // layer names by themselves with "_"
  std::map<std::string, Factors> factors_;                       // by layer
  std::optional<absl::string_view> prefix_;
};

absl::Status CheckFit(const Checkpoint& checkpoint, const std::string& layer, const Factors& factors,
                      const torch::Tensor* target) {
  if (!factors.down.defined() || !factors.up.defined()) {
    return Refuse(checkpoint, factors.key, "stands alone: a layer's adapter has both factors, down and up");
  }
  if (target == nullptr)
    return Refuse(checkpoint, factors.key, "adapts a layer that this model does not have");
  const bool fits = target->dim() == 2 && factors.up.size(0) == target->size(0) &&
                    factors.down.size(1) == target->size(1) && factors.up.size(1) == factors.down.size(0);
  if (fits) return absl::OkStatus();
  return Refuse(checkpoint, factors.key,
                absl::StrCat("does not fit: the weight of ", layer, " is ", ShapeText(*target),
                             ", the factors up and down are ", ShapeText(factors.up), " and ",
                             ShapeText(factors.down)));
}

// alpha / rank of one layer.
absl::StatusOr<double> Scaling(const Checkpoint& checkpoint, const std::string& layer, const Factors& factors,
                               const std::optional<LoraMetadata>& metadata) {
  const int64_t rank = factors.down.size(0);
  if (factors.alpha.defined()) {
    if (metadata.has_value()) {
      return Refuse(checkpoint, factors.key, "has an alpha in the file and one in its metadata");
    }
    return factors.alpha.item<double>() / static_cast<double>(rank);
  }
  if (!metadata.has_value()) return 1.0;
  absl::StatusOr<double> scaling = metadata->Scaling(layer, rank);
  return scaling.ok() ? scaling : Refuse(checkpoint, factors.key, scaling.status().message());
}

struct Change {
  torch::Tensor target;
  torch::Tensor adapted;
};

// Not in place: a loaded weight may be backed by its file.
absl::StatusOr<Change> Adapt(const Checkpoint& checkpoint, const Factors& factors, double scale,
                             const torch::Tensor& target) {
  const torch::Tensor change = at::mm(factors.up, factors.down).mul_(scale).to(target.device());
  torch::Tensor adapted = (target.data().to(torch::kFloat) + change).to(target.scalar_type());
  if (adapted.isfinite().all().item<bool>() || !target.isfinite().all().item<bool>()) {
    return Change{target, std::move(adapted)};
  }
  return Refuse(checkpoint, factors.key, "gives weights with NaN or infinity: its numbers are too large");
}

absl::Status MergeOrThrow(torch::nn::Module& module, const Checkpoint& checkpoint, const LoraUse& use) {
  const at::NoGradGuard no_grad;
  const Parameters parameters = module.named_parameters();
  LoraReader reader(checkpoint, parameters, use);
  RETURN_IF_ERROR(reader.Read());
  ASSIGN_OR_RETURN(const std::optional<LoraMetadata> metadata,
                   LoraMetadata::Read(checkpoint, reader.prefix()));
  std::vector<Change> changes;
  for (const auto& [layer, factors] : reader.factors()) {
    const torch::Tensor* target = parameters.find(layer + ".weight");
    RETURN_IF_ERROR(CheckFit(checkpoint, layer, factors, target));
    ASSIGN_OR_RETURN(const double scaling, Scaling(checkpoint, layer, factors, metadata));
    ASSIGN_OR_RETURN(Change change, Adapt(checkpoint, factors, use.scale * scaling, *target));
    changes.push_back(std::move(change));
  }
  for (Change& change : changes) change.target.set_data(change.adapted);
  return absl::OkStatus();
}

}  // namespace

absl::Status MergeLora(torch::nn::Module& module, const Checkpoint& checkpoint, const LoraUse& use) {
  try {
    return MergeOrThrow(module, checkpoint, use);
  } catch (const std::exception& error) {
    return absl::InternalError(absl::StrCat(checkpoint.path(), ": cannot be merged: ", error.what()));
  }
}

}  // namespace kandinsky
