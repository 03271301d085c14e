#include "training/training_checkpoint.h"

#include <ATen/ATen.h>

#include <algorithm>
#include <filesystem>
#include <nlohmann/json.hpp>
#include <system_error>
#include <utility>
#include <vector>

#include "absl/strings/match.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "base/json_file.h"
#include "base/mapped_file.h"
#include "base/status_macros.h"
#include "pipeline/weights/lora_keys.h"
#include "pipeline/weights/safetensors.h"
#include "training/folder_replacement.h"
#include "training/lora_adapters.h"
#include "training/run_identity.h"

namespace kandinsky::training {
namespace {

namespace fs = std::filesystem;

constexpr absl::string_view kPrefix = "checkpoint-";
constexpr char kWeights[] = "diffusion_pytorch_model.safetensors";
constexpr char kAdapters[] = "pytorch_lora_weights.safetensors";
constexpr char kOptimizer[] = "optimizer.safetensors";
constexpr char kState[] = "training_state.json";

absl::Status MakeFolder(const fs::path& path) {
  std::error_code error;
  fs::create_directories(path, error);
  return error ? FileError(path, error) : absl::OkStatus();
}

absl::Status WriteText(const fs::path& path, const std::string& text) {
  return WriteFileAtomically(path.string(), absl::Span<const char>(text.data(), text.size()));
}

absl::Status WriteNetwork(const fs::path& folder, const CheckpointLayout& layout,
                          const NamedTensors& weights) {
  RETURN_IF_ERROR(MakeFolder(folder));
  if (layout.adapters.has_value()) {
    return WriteLoraFile((folder / kAdapters).string(), weights, *layout.adapters);
  }
  RETURN_IF_ERROR(WriteText(folder / "config.json", layout.config_text));
  return WriteSafetensors((folder / kWeights).string(), weights);
}

absl::Status WriteParts(const fs::path& folder, const CheckpointLayout& layout, const TrainingState& state) {
  RETURN_IF_ERROR(WriteNetwork(folder / layout.network_folder, layout, state.weights));
  if (!state.average.empty()) {
    RETURN_IF_ERROR(WriteNetwork(folder / (layout.network_folder + "_ema"), layout, state.average));
  }
  RETURN_IF_ERROR(WriteSafetensors((folder / kOptimizer).string(), state.optimizer));
  nlohmann::ordered_json run = nlohmann::ordered_json::object();
  for (const auto& [field, value] : layout.run_identity) run[field] = value;
  const nlohmann::ordered_json json = {{"finished_steps", state.finished_steps}, {"run", run}};
  return WriteText(folder / kState, json.dump(2) + "\n");
}

// The tensor's name in the file, which may have adapters in the other form; empty when there is none.
std::string NameIn(const Checkpoint& file, const std::string& name) {
  if (file.Find(name) != nullptr) return name;
  const std::string other = KeyInOtherForm(name);
  return !other.empty() && file.Find(other) != nullptr ? other : "";
}

// Tensors of a file that has exactly the names and shapes of `wanted`.
absl::StatusOr<std::vector<torch::Tensor>> ReadTensors(const std::string& path, const NamedTensors& wanted) {
  ASSIGN_OR_RETURN(const auto file, OpenCheckpoint(path));
  std::vector<torch::Tensor> tensors;
  for (const auto& [name, tensor] : wanted) {
    const std::string stored = NameIn(*file, name);
    if (stored.empty()) {
      return absl::InvalidArgumentError(absl::StrCat(path, ": lacks tensor \"", name, "\""));
    }
    if (tensor.sizes() != c10::IntArrayRef(file->Find(stored)->shape)) {
      return absl::InvalidArgumentError(
          absl::StrCat(path, ": tensor \"", name, "\" has another shape than in this run"));
    }
    ASSIGN_OR_RETURN(tensors.emplace_back(), file->Get(stored));
  }
  if (file->names().size() == wanted.size()) return tensors;
  return absl::InvalidArgumentError(absl::StrCat(path, ": holds tensors that this run does not have"));
}

void Copy(const std::vector<torch::Tensor>& from, const NamedTensors& to) {
  const at::NoGradGuard no_grad;
  for (size_t i = 0; i < to.size(); ++i) torch::Tensor(to[i].second.detach()).copy_(from[i]);
}

// The number of steps in the name of a checkpoint folder, or -1.
int64_t StepsOf(const fs::path& folder) {
  const std::string name = folder.filename().string();
  int64_t steps = -1;
  if (!absl::StartsWith(name, kPrefix) || !absl::SimpleAtoi(name.substr(kPrefix.size()), &steps)) return -1;
  return steps;
}

// Checkpoint folders, most steps first.
std::vector<fs::path> ListCheckpoints(const std::string& output_folder) {
  std::vector<fs::path> found;
  std::error_code error;
  fs::directory_iterator entry(output_folder, error);
  for (const fs::directory_iterator end; !error && entry != end; entry.increment(error)) {
    std::error_code unused;
    if (entry->is_directory(unused) && StepsOf(entry->path()) >= 0) found.push_back(entry->path());
  }
  std::sort(found.begin(), found.end(),
            [](const fs::path& a, const fs::path& b) { return StepsOf(a) > StepsOf(b); });
  return found;
}

}  // namespace

std::string CheckpointFolder(const std::string& output_folder, int64_t finished_steps) {
  return (fs::path(output_folder) / absl::StrCat(kPrefix, finished_steps)).string();
}

absl::Status WriteCheckpoint(const std::string& folder, const CheckpointLayout& layout,
                             const TrainingState& state) {
  return ReplaceFolder(folder, [&](const fs::path& partial) { return WriteParts(partial, layout, state); });
}

absl::StatusOr<int64_t> CheckCheckpoint(const std::string& folder, const RunIdentity& run_identity) {
  const std::string path = (fs::path(folder) / kState).string();
  ASSIGN_OR_RETURN(const nlohmann::json json, ReadJsonFile(path, {}));
  const auto steps = json.find("finished_steps");
  const auto run = json.find("run");
  const bool valid =
      json.is_object() && steps != json.end() && steps->is_number_integer() && steps->get<int64_t>() >= 0 &&
      run != json.end() && run->is_object() &&
      std::all_of(run->begin(), run->end(), [](const auto& value) { return value.is_string(); });
  if (!valid) return absl::InvalidArgumentError(absl::StrCat(path, ": not the state of a training"));
  RunIdentity written;
  for (const auto& [field, value] : run->items())
    written.emplace_back(field, value.template get<std::string>());
  const std::string differences = IdentityDifferences(written, run_identity);
  if (!differences.empty()) {
    return absl::InvalidArgumentError(absl::StrCat(path, ": this is another run: ", differences));
  }
  return steps->get<int64_t>();
}

absl::Status ReadCheckpoint(const std::string& folder, const CheckpointLayout& layout, TrainingState& state) {
  const fs::path root = folder;
  ASSIGN_OR_RETURN(const int64_t steps, CheckCheckpoint(folder, layout.run_identity));
  const char* weights_name = layout.adapters.has_value() ? kAdapters : kWeights;
  ASSIGN_OR_RETURN(const auto weights,
                   ReadTensors((root / layout.network_folder / weights_name).string(), state.weights));
  ASSIGN_OR_RETURN(const auto optimizer, ReadTensors((root / kOptimizer).string(), state.optimizer));
  std::vector<torch::Tensor> average;
  if (!state.average.empty()) {
    const fs::path path = root / (layout.network_folder + "_ema") / weights_name;
    ASSIGN_OR_RETURN(average, ReadTensors(path.string(), state.average));
  }
  Copy(weights, state.weights);
  Copy(optimizer, state.optimizer);
  Copy(average, state.average);
  state.finished_steps = steps;
  return absl::OkStatus();
}

absl::StatusOr<std::string> CheckpointToResume(const std::string& output_folder, const std::string& resume) {
  const std::vector<fs::path> found = ListCheckpoints(output_folder);
  if (resume.empty()) {
    if (found.empty()) return std::string();
    return absl::FailedPreconditionError(
        absl::StrCat(found.front().string(),
                     ": is of an earlier run; set checkpoints.resume to latest to go on "
                     "with it, or output_folder to another folder"));
  }
  if (resume == "latest") {
    if (found.empty()) {
      return absl::NotFoundError(absl::StrCat(output_folder, ": no checkpoint to resume from"));
    }
    return found.front().string();
  }
  if (!found.empty() && StepsOf(found.front()) > StepsOf(fs::path(resume).lexically_normal())) {
    return absl::FailedPreconditionError(absl::StrCat(
        found.front().string(), ": is of later steps than checkpoints.resume; move it away first"));
  }
  return resume;
}

void RemoveOldCheckpoints(const std::string& output_folder, int keep) {
  if (keep <= 0) return;
  std::error_code error;
  const std::vector<fs::path> found = ListCheckpoints(output_folder);
  for (size_t i = static_cast<size_t>(keep); i < found.size(); ++i) fs::remove_all(found[i], error);
}

}  // namespace kandinsky::training
