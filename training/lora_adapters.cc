#include "training/lora_adapters.h"

#include <ATen/ATen.h>
#include <ATen/CPUGeneratorImpl.h>

#include <set>
#include <utility>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "pipeline/weights/lora_keys.h"
#include "pipeline/weights/lora_metadata.h"
#include "pipeline/weights/safetensors.h"

namespace kandinsky::training {

absl::StatusOr<LoraAdapters> LoraAdapters::Attach(torch::nn::Module& module, const LoraOptions& options,
                                                  uint64_t seed) {
  LoraAdapters adapters;
  const LoraForm form = options.form == AdapterForm::kPeft ? LoraForm::kPeft : LoraForm::kAttentionProcessor;
  at::Generator generator = at::detail::createCPUGenerator(seed);
  std::set<std::string> unused(options.targets.begin(), options.targets.end());
  for (const auto& part : module.named_modules("", /*include_self=*/false)) {
    auto* layer = part.value()->as<Linear>();
    if (layer == nullptr) continue;
    for (const std::string& target : options.targets) {
      if (!absl::EndsWith(part.key(), "." + target)) continue;
      unused.erase(target);
      const torch::Tensor down =
          at::randn({options.rank, layer->weight.size(1)}, generator).div_(options.rank);
      const torch::Tensor up = at::zeros({layer->weight.size(0), options.rank});
      const LoraKeys keys = LoraKeysOf(part.key(), form);
      adapters.parameters_.emplace_back(keys.down, down.requires_grad_());
      adapters.parameters_.emplace_back(keys.up, up.requires_grad_());
      adapters.adapters_.push_back({.layer = layer, .base = layer->weight, .down = down, .up = up});
      break;
    }
  }
  if (!unused.empty()) {
    return absl::NotFoundError(
        absl::StrCat("lora.targets: no layer is called \"", *unused.begin(), "\" in this network"));
  }
  return adapters;
}

absl::Status WriteLoraFile(const std::string& path, const NamedTensors& factors, const LoraOptions& options) {
  if (options.form == AdapterForm::kAttentionProcessors) return WriteSafetensors(path, factors);
  return WriteSafetensors(path, factors, PeftMetadata(options.rank, options.targets));
}

void LoraAdapters::Apply() {
  for (Adapter& adapter : adapters_) {
    adapter.layer->weight = adapter.base + at::mm(adapter.up, adapter.down).to(adapter.base.scalar_type());
  }
}

void LoraAdapters::Remove() {
  for (Adapter& adapter : adapters_) adapter.layer->weight = adapter.base;
}

void LoraAdapters::Merge() {
  Remove();
  const at::NoGradGuard no_grad;
  for (Adapter& adapter : adapters_) {
    adapter.unmerged = adapter.base.clone();
    adapter.base.add_(at::mm(adapter.up, adapter.down));
  }
}

void LoraAdapters::Unmerge() {
  const at::NoGradGuard no_grad;
  for (Adapter& adapter : adapters_) adapter.base.copy_(std::exchange(adapter.unmerged, {}));
}

}  // namespace kandinsky::training
