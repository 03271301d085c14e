#include "training/run_training.h"

#include <ATen/Parallel.h>

#include <filesystem>
#include <memory>
#include <string>
#include <system_error>
#include <utility>
#include <vector>

#include "absl/cleanup/cleanup.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "base/process_resources.h"
#include "base/status_macros.h"
#include "pipeline/device/exception_translation.h"
#include "pipeline/weights/model_directory.h"
#include "training/dataset/caption_dataset.h"
#include "training/lora_adapters.h"
#include "training/model_export.h"
#include "training/run_identity.h"
#include "training/trainer.h"
#include "training/training_log.h"
#include "training/training_task.h"
#include "training/validation_images.h"

namespace kandinsky::training {
namespace {

std::string FinishedModel(const TrainingOptions& options) { return options.output_folder + "/model"; }
std::string ValidationModel(const TrainingOptions& options) {
  return options.output_folder + "/validation_model";
}

class RunObserver final : public TrainingObserver {
 public:
  RunObserver(const TrainingOptions& options, const ModelDirectory& files, TrainingLog& log)
      : options_(options), files_(files), log_(log) {}

  absl::Status OnStep(const StepReport& report) override { return log_.OnStep(report); }

  // Images are a help: that they cannot be made is no reason to lose a training.
  absl::Status OnValidation(int64_t step, torch::nn::Module& network) override {
    const std::string images = absl::StrCat(options_.output_folder, "/validation/step-", step);
    const absl::Status status = MakeImages(network, images);
    log_.Say(status.ok() ? absl::StrCat("validation images: ", images)
                         : absl::StrCat("no validation images: ", status.message()));
    return absl::OkStatus();
  }

  absl::Status OnCheckpoint(const std::string& folder) override {
    log_.Say(absl::StrCat("checkpoint: ", folder));
    return log_.WritePlot();
  }

 private:
  absl::Status MakeImages(torch::nn::Module& network, const std::string& folder) {
    const std::string model = ValidationModel(options_);
    const absl::Cleanup discard = [&] {
      std::error_code unused;
      std::filesystem::remove_all(model, unused);
    };
    RETURN_IF_ERROR(ExportModel(model, files_, options_.target, network, StoredType::kFloat32));
    return WriteValidationImages(model, options_.validation, options_.seed, options_.threads, folder);
  }

  const TrainingOptions& options_;
  const ModelDirectory& files_;
  TrainingLog& log_;
};

absl::Status WriteResult(const TrainingOptions& options, const ModelDirectory& files, Trainer& trainer,
                         TrainingLog& log) {
  const std::string model = FinishedModel(options);
  RETURN_IF_ERROR(
      trainer.WithFinalWeights([&](torch::nn::Module& network, const NamedTensors& adapters) -> absl::Status {
        if (!adapters.empty()) {
          const std::string path = options.output_folder + "/pytorch_lora_weights.safetensors";
          RETURN_IF_ERROR(WriteLoraFile(path, adapters, *options.lora));
          log.Say(absl::StrCat("adapters: ", path));
        }
        return ExportModel(model, files, options.target, network, options.stored_type);
      }));
  log.Say(absl::StrCat("model: ", model));
  return absl::OkStatus();
}

// What would otherwise show only after hours of work.
absl::Status CheckFirst(const TrainingOptions& options, const ModelDirectory& files) {
  for (const std::string& model : {FinishedModel(options), ValidationModel(options)}) {
    RETURN_IF_ERROR(CheckExportFolder(model, files));
  }
  if (!options.validation.prompts.empty() && files.decoder.network != "decoder") {
    return absl::InvalidArgumentError(
        absl::StrCat("validation.prompts: the ", files.decoder.network,
                     " network makes no images from text alone; leave them out"));
  }
  ASSIGN_OR_RETURN(const std::string checkpoint,
                   CheckpointToResume(options.output_folder, options.checkpoints.resume));
  return checkpoint.empty() ? absl::OkStatus() : CheckCheckpoint(checkpoint, options.run_identity).status();
}

// As given, and what depends on machine, model and data.
absl::Status Complete(const ModelDirectory& files, const std::vector<TrainingSample>& samples,
                      TrainingOptions& options) {
  if (options.data.cache_folder.empty()) options.data.cache_folder = options.output_folder + "/features";
  options.run_identity = RunIdentityOf(options, files, samples);
  return CheckFirst(options, files);
}

std::string Count(int64_t count, const char* one, const char* many) {
  return absl::StrCat(count, " ", count == 1 ? one : many);
}

// Tells what there is to learn from, how often it is seen, and what the reader of the data passed over.
void SayData(const TrainingOptions& options, const CaptionDataset& dataset, TrainingLog& log) {
  const auto images = static_cast<int64_t>(dataset.samples.size());
  size_t captions = 0;
  for (const TrainingSample& sample : dataset.samples) captions += sample.captions.size();
  log.Say(absl::StrCat("data: ", Count(images, "image", "images"), " with ",
                       Count(static_cast<int64_t>(captions), "caption", "captions"), " in ",
                       options.data.path));
  for (const std::string& note : dataset.notes) log.Say(absl::StrCat("note: ", note));
  const int64_t per_step = int64_t{options.batch_size} * options.accumulation_steps;
  log.Say(absl::StrFormat("steps: %s of %s, %.2f epochs", Count(options.max_steps, "step", "steps"),
                          Count(per_step, "image", "images"),
                          static_cast<double>(options.max_steps * per_step) / static_cast<double>(images)));
  if (options.batch_size > images) {
    log.Say(absl::StrCat("note: batch_size is ", options.batch_size, ", more than the ",
                         Count(images, "image", "images"),
                         " of the data: a batch holds some of them more than once"));
  }
}

// Tells what learns and with what.
void SayNetwork(const TrainingOptions& options, TrainingTask& task, const Trainer& trainer,
                TrainingLog& log) {
  int64_t parameters = 0;
  for (const torch::Tensor& parameter : task.network().parameters()) parameters += parameter.numel();
  const char* const kind = options.lora.has_value() ? " in adapters beside " : " of ";
  log.Say(absl::StrCat(options.target == TrainingTarget::kPrior ? "prior: " : "decoder: ",
                       trainer.trained_parameters(), " parameters are trained", kind, parameters, ", in ",
                       options.precision == Precision::kBFloat16 ? "bfloat16" : "float32",
                       " on the CPU with ", Count(options.threads, "thread", "threads")));
}

absl::Status TrainAndWrite(const TrainingOptions& options, const ModelDirectory& files,
                           const std::vector<TrainingSample>& samples, const std::atomic<bool>& stop,
                           TrainingLog& log) {
  const FeatureCache::Progress on_features = [&](int64_t done, int64_t total) {
    log.OnFeatures(done, total);
    return stop ? absl::CancelledError("stopped while embeddings were computed; the next run goes on there")
                : absl::OkStatus();
  };
  ASSIGN_OR_RETURN(const std::unique_ptr<TrainingTask> task,
                   TranslateExceptions("preparation of the data", [&] {
                     return MakeTrainingTask(options, files, samples, on_features);
                   }));
  ASSIGN_OR_RETURN(const std::unique_ptr<Trainer> trainer, Trainer::Make(options, *task));
  RETURN_IF_ERROR(log.BeginAt(trainer->finished_steps()));
  SayNetwork(options, *task, *trainer, log);
  RunObserver observer(options, files, log);
  RETURN_IF_ERROR(trainer->Run(observer, stop));
  RETURN_IF_ERROR(log.WritePlot());
  if (trainer->finished_steps() < options.max_steps) {
    return absl::CancelledError(absl::StrCat("stopped after step ", trainer->finished_steps(),
                                             "; checkpoints.resume=latest goes on"));
  }
  const absl::Status written = WriteResult(options, files, *trainer, log);
  if (written.ok()) return written;
  return absl::Status(written.code(),
                      absl::StrCat(written.message(), "; the weights are in ",
                                   CheckpointFolder(options.output_folder, trainer->finished_steps()),
                                   ", and checkpoints.resume=latest writes the model from there"));
}

}  // namespace

absl::StatusOr<ModelDirectory> OpenTrainingModel(const TrainingOptions& options) {
  if (options.prior_path.empty()) return OpenModelDirectory(options.decoder_path);
  return OpenModelDirectory(options.prior_path, options.decoder_path);
}

absl::Status RunTraining(const TrainingOptions& given, const ModelDirectory& files,
                         const std::atomic<bool>& stop, std::ostream& out, bool terminal) {
  TrainingOptions options = given;
  if (options.threads == 0) options.threads = AvailableCpus();
  at::set_num_threads(options.threads);
  ASSIGN_OR_RETURN(const CaptionDataset dataset,
                   ReadCaptionDataset({.path = options.data.path,
                                       .image_column = options.data.image_column,
                                       .caption_column = options.data.caption_column,
                                       .hint_column = options.data.hint_column,
                                       .max_samples = options.data.max_samples,
                                       .captions_required = options.target == TrainingTarget::kPrior ||
                                                            options.embedding_exchange > 0}));
  RETURN_IF_ERROR(Complete(files, dataset.samples, options));
  ASSIGN_OR_RETURN(const std::unique_ptr<TrainingLog> log,
                   TrainingLog::Open(options.output_folder, options.log_every_steps, out, terminal));
  SayData(options, dataset, *log);
  absl::Status status = TrainAndWrite(options, files, dataset.samples, stop, *log);
  log->EndLine();
  return status;
}

}  // namespace kandinsky::training
