#include "training/training_task.h"

#include "training/decoder_task.h"
#include "training/prior_task.h"

namespace kandinsky::training {

absl::StatusOr<std::unique_ptr<TrainingTask>> MakeTrainingTask(const TrainingOptions& options,
                                                               const ModelDirectory& files,
                                                               const std::vector<TrainingSample>& samples,
                                                               const FeatureCache::Progress& progress) {
  if (options.target == TrainingTarget::kPrior) return PriorTask::Make(options, files, samples, progress);
  return DecoderTask::Make(options, files, samples, progress);
}

}  // namespace kandinsky::training
