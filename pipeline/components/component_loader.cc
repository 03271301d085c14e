#include "pipeline/components/component_loader.h"

#include <ATen/Parallel.h>
#include <c10/core/InferenceMode.h>

#include <algorithm>
#include <atomic>
#include <map>

#include "base/logging.h"
#include "base/status_macros.h"
#include "pipeline/components/read_ahead.h"
#include "pipeline/models/half_conversion.h"
#include "pipeline/models/layers.h"
#include "pipeline/models/parallel.h"
#include "pipeline/models/weight_memory.h"
#include "pipeline/weights/strict_load.h"

namespace kandinsky {
namespace {

using Component = ComponentLoader::Component;

// How far the disk may be ahead of the conversion: what it delivers while a large tensor is converted.
constexpr int64_t kReadAheadBytes = int64_t{256} << 20;

// One tensor to bring in, and what became of it.
struct Item {
  const Component* component = nullptr;
  TensorAssignment assignment;
  Conv2d* convolution = nullptr;  // whose weight this is, when it is to be prepared
  int64_t bytes = 0;              // in the file
  absl::Status status;
  bool finite = true;
};

// The convolutions of a module by the names of their weights.
std::map<std::string, Conv2d*> ConvolutionWeights(torch::nn::Module& module) {
  std::map<std::string, Conv2d*> convolutions;
  for (const auto& part : module.named_modules(/*name_prefix=*/"", /*include_self=*/false)) {
    auto* const convolution = dynamic_cast<Conv2d*>(part.value().get());
    if (convolution != nullptr) convolutions[part.key() + ".weight"] = convolution;
  }
  return convolutions;
}

// Adds the tensors of a component in the order of its files.
absl::Status AddItems(const Component& component, std::vector<Item>& items) {
  const Checkpoint& weights = *component.weights;
  LoadReport report;
  ASSIGN_OR_RETURN(auto assignments, MatchTensors(*component.module, weights, {}, report));
  std::map<std::string, Conv2d*> convolutions;
  if (component.options.prepare) convolutions = ConvolutionWeights(*component.module);
  std::map<std::string, TensorAssignment> by_source;
  for (TensorAssignment& assignment : assignments) {
    std::string source = assignment.source;
    by_source.emplace(std::move(source), std::move(assignment));
  }
  for (const std::string& name : weights.names_by_place()) {
    const auto found = by_source.find(name);
    if (found == by_source.end()) continue;
    const Checkpoint::TensorInfo& info = *weights.Find(name);
    Item item;
    item.component = &component;
    item.assignment = std::move(found->second);
    item.bytes = c10::multiply_integers(info.shape) * static_cast<int64_t>(c10::elementSize(info.dtype));
    const auto convolution = convolutions.find(item.assignment.name);
    if (convolution != convolutions.end()) item.convolution = convolution->second;
    items.push_back(std::move(item));
  }
  return absl::OkStatus();
}

torch::Tensor Converted(const torch::Tensor& stored, Item& item) {
  const bool writable = item.component->options.writable;
  if (item.assignment.target.is_floating_point()) {
    if (stored.scalar_type() == torch::kHalf) return FloatWeight(stored, item.finite);
    item.finite = IsFinite(stored);
    return stored.to(torch::kFloat, /*non_blocking=*/false, /*copy=*/writable);
  }
  return stored.to(item.assignment.target.scalar_type(), /*non_blocking=*/false, /*copy=*/writable);
}

absl::Status LoadItem(Item& item) {
  const Checkpoint& weights = *item.component->weights;
  const std::string& source = item.assignment.source;
  try {
    ASSIGN_OR_RETURN(const torch::Tensor stored, weights.Get(source));
    if (item.convolution != nullptr && item.convolution->LoadTransformed(stored)) {
      item.finite = IsFinite(stored);
    } else {
      item.assignment.target.set_data(Converted(stored, item));
      if (item.convolution != nullptr) item.convolution->PrepareForInference();
    }
  } catch (const std::exception& error) {
    return LoadFailure(weights, error);
  }
  // It is copied now, or else mapped again when it is needed.
  weights.ReleasePages(source);
  return absl::OkStatus();
}

void LoadItems(std::vector<Item>& items) {
  std::vector<ReadAhead::Part> parts;
  parts.reserve(items.size());
  for (const Item& item : items) {
    const auto read = [&item] { item.component->weights->ReadAhead(item.assignment.source); };
    parts.push_back({.read = read, .bytes = item.bytes});
  }
  ReadAhead read_ahead(std::move(parts), kReadAheadBytes);
  std::atomic<size_t> next = 0;
  std::atomic<bool> failed = false;
  ParallelFor(0, at::get_num_threads(), /*grain_size=*/1, [&](int64_t, int64_t) {
    const c10::InferenceMode normal_tensors(false);
    const at::NoGradGuard no_grad;
    // After an error the tensors before it are brought in still, since one of them may have an error too.
    while (!failed) {
      const size_t i = next++;
      if (i >= items.size()) return;
      items[i].status = LoadItem(items[i]);
      if (!items[i].status.ok()) failed = true;
      read_ahead.Use(items[i].bytes);
    }
  });
}

void LogWarnings(const Component& component, const std::vector<Item>& items) {
  std::vector<std::string> warnings;
  for (const Item& item : items) {
    if (item.component == &component && !item.finite) {
      warnings.push_back(NotFiniteWarning(item.assignment.source));
    }
  }
  std::sort(warnings.begin(), warnings.end());
  for (const std::string& warning : warnings) {
    Log(LogLevel::kWarning, "suspicious weights",
        {{"file", component.weights->path()}, {"finding", warning}});
  }
}

absl::Status LoadAll(const std::vector<Component>& components) {
  std::vector<Item> items;
  for (const Component& component : components) RETURN_IF_ERROR(AddItems(component, items));
  LoadItems(items);
  for (const Component& component : components) {
    for (const Item& item : items) {
      if (item.component == &component) RETURN_IF_ERROR(item.status);
    }
    LogWarnings(component, items);
    component.weights->ReleasePages();
    RETURN_IF_ERROR(MergeLoraFile(component.options.lora, *component.module));
  }
  return absl::OkStatus();
}

}  // namespace

absl::Status MergeLoraFile(const LoraFile& lora, torch::nn::Module& module) {
  if (lora.path.empty()) return absl::OkStatus();
  ASSIGN_OR_RETURN(const auto adapters, OpenCheckpoint(lora.path));
  return MergeLora(module, *adapters, lora.use);
}

absl::Status ComponentLoader::Load() {
  const c10::InferenceMode normal_tensors(false);
  const at::NoGradGuard no_grad;
  const std::vector<Component> components = std::exchange(components_, {});
  return LoadAll(components);
}

}  // namespace kandinsky
