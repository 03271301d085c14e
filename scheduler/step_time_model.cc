#include "scheduler/step_time_model.h"

#include <algorithm>
#include <limits>
#include <tuple>

namespace kandinsky {
namespace {

constexpr double kForgetting = 1.01;
constexpr int kEnoughMeasurements = 4;

// What a step costs with `guided`, given what it costs with `measured_guided`.
double GuidanceFactor(bool measured_guided, bool guided) {
  if (measured_guided == guided) return 1;
  return measured_guided ? 0.5 : 2;
}

}  // namespace

StepTimeModel::Kind StepTimeModel::KindOf(const BatchKey& key) {
  return {key.stage, key.network, key.latent_height, key.latent_width, key.guided};
}

void StepTimeModel::Record(const BatchKey& key, int rows, absl::Duration duration) {
  const Average measured = {
      .step = duration, .row = duration / rows, .shortest = duration, .measurements = 1};
  MutexLock lock(mutex_);
  const auto [entry, added] = averages_.try_emplace(KindOf(key), measured);
  if (added) return;
  Average& average = entry->second;
  average.step += weight_ * (measured.step - average.step);
  average.row += weight_ * (measured.row - average.row);
  average.shortest = std::min(duration, average.shortest * kForgetting);
  ++average.measurements;
}

StepTimeModel::Average StepTimeModel::Lookup(const Kind& kind) const {
  const auto exact = averages_.find(kind);
  if (exact != averages_.end()) return exact->second;
  const auto area = [](const Kind& of) {
    return std::max(1.0, static_cast<double>(of.latent_height) * of.latent_width);
  };
  // How far a measured kind is: first in network, then in area, then in guidance.
  const auto distance = [&](const Kind& other) {
    const double ratio = area(kind) / area(other);
    return std::make_tuple(other.network != kind.network, std::max(ratio, 1 / ratio),
                           other.guided != kind.guided);
  };
  const std::pair<const Kind, Average>* nearest = nullptr;
  for (const auto& measured : averages_) {
    const Kind& other = measured.first;
    if (other.stage != kind.stage) continue;
    // The networks of the encode stage have nothing in common.
    if (kind.stage == Stage::kEncode && other.network != kind.network) continue;
    if (nearest == nullptr || distance(other) < distance(nearest->first)) nearest = &measured;
  }
  if (nearest == nullptr) return {};
  const auto& [other, average] = *nearest;
  const double scale = area(kind) / area(other) * GuidanceFactor(other.guided, kind.guided);
  return {.step = scale * average.step,
          .row = scale * average.row,
          .shortest = scale * average.shortest,
          .measurements = average.measurements};
}

void StepTimeModel::Add(const BatchKey& key, int steps, Average& sum) const {
  if (steps == 0) return;
  const Average average = Lookup(KindOf(key));
  sum.step += steps * average.step;
  sum.row += steps * average.row;
  sum.shortest += steps * average.shortest;
  sum.measurements = std::min(sum.measurements, average.measurements);
}

StepTimeModel::Average StepTimeModel::Sum(const RemainingWork& work) const {
  Average sum = {.measurements = std::numeric_limits<int>::max()};
  if (work.plan == nullptr) return sum;
  MutexLock lock(mutex_);
  int left = work.steps;
  for (auto phase = work.plan->phases.rbegin(); phase != work.plan->phases.rend() && left > 0; ++phase) {
    const int steps = std::min(left, phase->steps);
    Add(phase->key, steps, sum);
    left -= steps;
  }
  return sum;
}

absl::Duration StepTimeModel::ElapsedTime(const RemainingWork& work) const { return Sum(work).step; }

absl::Duration StepTimeModel::DeviceTime(const RemainingWork& work) const { return Sum(work).row; }

absl::Duration StepTimeModel::LeastTime(const RemainingWork& work) const {
  const Average sum = Sum(work);
  return sum.measurements < kEnoughMeasurements ? absl::ZeroDuration() : sum.shortest;
}

}  // namespace kandinsky
