#include "training/model_export.h"

#include <ATen/ATen.h>

#include <cstddef>
#include <filesystem>
#include <memory>
#include <nlohmann/json.hpp>
#include <system_error>
#include <utility>
#include <vector>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "base/mapped_file.h"
#include "base/status_macros.h"
#include "pipeline/kandinsky22/generation_defaults.h"
#include "pipeline/weights/safetensors.h"
#include "training/folder_replacement.h"
#include "training/named_tensors.h"

namespace kandinsky::training {
namespace {

namespace fs = std::filesystem;

// Part by part through AtomicFile, whose errors say the system's reason: std::filesystem::copy_file calls a
// full disk an input/output error.
absl::Status CopyFile(const fs::path& from, const fs::path& to) {
  ASSIGN_OR_RETURN(const std::shared_ptr<const MappedFile> source, MappedFile::Open(from.string()));
  ASSIGN_OR_RETURN(const std::unique_ptr<AtomicFile> copy, AtomicFile::Create(to.string()));
  const absl::Span<const std::byte> bytes = source->bytes();
  RETURN_IF_ERROR(copy->Append({reinterpret_cast<const char*>(bytes.data()), bytes.size()}));
  return copy->Commit();
}

// The same content at `to`. Weights without a second copy of them where that is possible: nobody edits them
// in place. Everything else is small, and may well be edited.
absl::Status PlaceFile(const fs::path& from, const fs::path& to) {
  std::error_code error;
  const fs::path original = fs::canonical(from, error);
  if (error) return FileError(from, error);
  if (to.extension() == ".safetensors") {
    fs::create_hard_link(original, to, error);
    if (!error) return absl::OkStatus();
  }
  return CopyFile(original, to);
}

absl::Status PlaceFolder(const fs::path& from, const fs::path& to) {
  std::error_code error;
  fs::create_directories(to, error);
  if (error) return FileError(to, error);
  fs::directory_iterator entry(from, error);
  for (const fs::directory_iterator end; !error && entry != end; entry.increment(error)) {
    std::error_code unused;
    if (entry->is_regular_file(unused))
      RETURN_IF_ERROR(PlaceFile(entry->path(), to / entry->path().filename()));
  }
  return error ? FileError(from, error) : absl::OkStatus();
}

torch::ScalarType DtypeOf(StoredType type) {
  if (type == StoredType::kFloat16) return torch::kHalf;
  return type == StoredType::kBFloat16 ? torch::kBFloat16 : torch::kFloat;
}

absl::Status WriteNetwork(const fs::path& folder, const NetworkFiles& files, torch::nn::Module& network,
                          torch::ScalarType dtype) {
  std::error_code error;
  fs::create_directories(folder, error);
  if (error) return FileError(folder, error);
  RETURN_IF_ERROR(PlaceFile(files.config.path, folder / "config.json"));
  NamedTensors weights;
  for (const auto& parameter : network.named_parameters()) {
    const torch::Tensor stored = parameter.value().detach().to(dtype);
    if (!stored.isfinite().all().item<bool>()) {
      return absl::InvalidArgumentError(
          absl::StrCat("the weight ", parameter.key(), " is not finite, or too large for stored_type"));
    }
    weights.emplace_back(parameter.key(), stored);
  }
  return WriteSafetensors((folder / "diffusion_pytorch_model.safetensors").string(), weights);
}

// The class that a scheduler file names.
std::string SchedulerClass(const ConfigFile& scheduler, const char* otherwise) {
  return scheduler.json.value("_class_name", otherwise);
}

// What diffusers' pipelines read first: their class, and library and class of each part.
nlohmann::ordered_json PriorIndex(const ModelDirectory& files) {
  return {{"_class_name", "KandinskyV22PriorPipeline"},
          {"_diffusers_version", "0.42.1"},
          {"image_encoder", {"transformers", "CLIPVisionModelWithProjection"}},
          {"image_processor", {"transformers", "CLIPImageProcessor"}},
          {"prior", {"diffusers", "PriorTransformer"}},
          {"scheduler", {"diffusers", SchedulerClass(files.prior.scheduler, "UnCLIPScheduler")}},
          {"text_encoder", {"transformers", "CLIPTextModelWithProjection"}},
          {"tokenizer", {"transformers", "CLIPTokenizer"}}};
}

nlohmann::ordered_json DecoderIndex(const ModelDirectory& files) {
  const char* pipeline = "KandinskyV22Pipeline";
  if (files.decoder.network == "inpaint") pipeline = "KandinskyV22InpaintPipeline";
  if (files.decoder.network == "controlnet_depth") pipeline = "KandinskyV22ControlnetPipeline";
  return {{"_class_name", pipeline},
          {"_diffusers_version", "0.42.1"},
          {"movq", {"diffusers", "VQModel"}},
          {"scheduler", {"diffusers", SchedulerClass(files.decoder.scheduler, "DDPMScheduler")}},
          {"unet", {"diffusers", "UNet2DConditionModel"}}};
}

absl::Status WriteJson(const fs::path& path, const nlohmann::ordered_json& json) {
  const std::string text = json.dump(2) + "\n";
  return WriteFileAtomically(path.string(), absl::Span<const char>(text.data(), text.size()));
}

// Where a file of the source lies, and its folder in the published layout.
struct Part {
  fs::path from;
  const char* to;
};

// What requests get where they give no value, if the model that training began with says so.
absl::Status PlaceDefaults(const fs::path& from, const fs::path& to) {
  std::error_code error;
  if (!fs::exists(from / kGenerationDefaultsFile, error)) return absl::OkStatus();
  return PlaceFile(from / kGenerationDefaultsFile, to / kGenerationDefaultsFile);
}

absl::Status WriteModel(const fs::path& folder, const ModelDirectory& files, TrainingTarget target,
                        torch::nn::Module& network, torch::ScalarType dtype) {
  const fs::path scheduler = fs::path(files.prior.scheduler.path).parent_path();
  std::vector<Part> parts = {
      {files.prior.text_encoder.folder, "prior/text_encoder"},
      {files.prior.image_encoder.folder, "prior/image_encoder"},
      {files.prior.tokenizer_folder, "prior/tokenizer"},
      {scheduler, "prior/scheduler"},
      {fs::path(files.prior.image_processor.path).parent_path(), "prior/image_processor"},
      {files.decoder.movq.folder, "decoder/movq"},
      {fs::path(files.decoder.scheduler.path).parent_path(), "decoder/scheduler"}};
  const bool prior = target == TrainingTarget::kPrior;
  parts.push_back(prior ? Part{files.decoder.unet.folder, "decoder/unet"}
                        : Part{files.prior.prior.folder, "prior/prior"});
  for (const Part& part : parts) RETURN_IF_ERROR(PlaceFolder(part.from, folder / part.to));
  RETURN_IF_ERROR(WriteJson(folder / "prior/model_index.json", PriorIndex(files)));
  RETURN_IF_ERROR(WriteJson(folder / "decoder/model_index.json", DecoderIndex(files)));
  RETURN_IF_ERROR(PlaceDefaults(fs::path(files.decoder.unet.folder).parent_path(), folder / "decoder"));
  return WriteNetwork(folder / (prior ? "prior/prior" : "decoder/unet"),
                      prior ? files.prior.prior : files.decoder.unet, network, dtype);
}

}  // namespace

absl::Status CheckExportFolder(const std::string& folder, const ModelDirectory& files) {
  std::error_code error;
  const std::string target = fs::weakly_canonical(folder, error).string() + "/";
  for (const std::string& part :
       {files.prior.prior.folder, files.prior.text_encoder.folder, files.prior.image_encoder.folder,
        files.prior.tokenizer_folder, files.decoder.unet.folder, files.decoder.movq.folder}) {
    if (absl::StartsWith(fs::weakly_canonical(part, error).string() + "/", target)) {
      return absl::InvalidArgumentError(
          absl::StrCat(part,
                       ": the model that training begins with lies where its "
                       "result is to be written; choose another output_folder"));
    }
  }
  return absl::OkStatus();
}

absl::Status ExportModel(const std::string& folder, const ModelDirectory& files, TrainingTarget target,
                         torch::nn::Module& network, StoredType stored_type) {
  RETURN_IF_ERROR(CheckExportFolder(folder, files));
  return ReplaceFolder(folder, [&](const fs::path& partial) {
    return WriteModel(partial, files, target, network, DtypeOf(stored_type));
  });
}

}  // namespace kandinsky::training
