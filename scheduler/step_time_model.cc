#include "scheduler/step_time_model.h"

namespace kandinsky {
namespace {

constexpr int kPixelsPerLatent = 8;  // edge of the picture that one latent stands for
constexpr std::array<Stage, 4> kStages = {Stage::kEncode, Stage::kPrior, Stage::kDenoise, Stage::kDecode};

}  // namespace

RemainingWork WorkOf(const GenerationRequest& request) {
  return {.steps = {1, request.prior_steps, request.steps, request.output.image ? 1 : 0},
          .latent_height = request.height / kPixelsPerLatent,
          .latent_width = request.width / kPixelsPerLatent};
}

RemainingWork WorkAfter(const GenerationRequest& request, const StageProgress& progress) {
  RemainingWork work = WorkOf(request);
  for (const Stage stage : kStages) {
    int& steps = work.steps[static_cast<size_t>(stage)];
    if (stage < progress.stage) steps = 0;
    if (stage == progress.stage) steps = progress.total_steps - progress.step;
  }
  return work;
}

StepTimeModel::Kind StepTimeModel::KindOf(Stage stage, int latent_height, int latent_width) {
  if (stage == Stage::kEncode || stage == Stage::kPrior) return {stage, 0, 0};
  return {stage, latent_height, latent_width};
}

void StepTimeModel::Record(const BatchKey& key, int rows, absl::Duration duration) {
  const Average measured = {.step = duration, .row = duration / rows};
  MutexLock lock(mutex_);
  const auto [entry, added] =
      averages_.try_emplace(KindOf(key.stage, key.latent_height, key.latent_width), measured);
  if (added) return;
  Average& average = entry->second;
  average.step += weight_ * (measured.step - average.step);
  average.row += weight_ * (measured.row - average.row);
}

StepTimeModel::Average StepTimeModel::Lookup(const Kind& kind) const {
  const auto exact = averages_.find(kind);
  if (exact != averages_.end()) return exact->second;
  for (const auto& [other, average] : averages_) {
    const double area = static_cast<double>(other.latent_height) * other.latent_width;
    if (other.stage != kind.stage || area == 0) continue;
    const double scale = static_cast<double>(kind.latent_height) * kind.latent_width / area;
    return {.step = scale * average.step, .row = scale * average.row};
  }
  return {};
}

absl::Duration StepTimeModel::Sum(const RemainingWork& work, absl::Duration Average::*part) const {
  absl::Duration sum;
  MutexLock lock(mutex_);
  for (const Stage stage : kStages) {
    const int steps = work.steps[static_cast<size_t>(stage)];
    if (steps > 0) sum += steps * (Lookup(KindOf(stage, work.latent_height, work.latent_width)).*part);
  }
  return sum;
}

absl::Duration StepTimeModel::ElapsedTime(const RemainingWork& work) const {
  return Sum(work, &Average::step);
}

absl::Duration StepTimeModel::DeviceTime(const RemainingWork& work) const { return Sum(work, &Average::row); }

}  // namespace kandinsky
