#include "scheduler/step_time_model.h"

#include <algorithm>
#include <cstddef>
#include <limits>
#include <utility>

namespace kandinsky {
namespace {

constexpr double kForgetting = 1.01;
constexpr int kEnoughMeasurements = 4;
constexpr std::array<Stage, 4> kStages = {Stage::kEncode, Stage::kPrior, Stage::kDenoise, Stage::kDecode};

// What a step costs with `guided`, given what it costs with `measured_guided`.
double GuidanceFactor(Stage stage, bool measured_guided, bool guided) {
  if (measured_guided == guided) return 1;
  if (measured_guided) return 0.5;
  // Pipelines may run guided and unguided generations in one step of the prior, under a key without guidance.
  return stage == Stage::kPrior ? 1 : 2;
}

}  // namespace

RemainingWork WorkOf(const GenerationRequest& request, int latent_scale) {
  return {.steps = PlannedSteps(request),
          .encode_networks = EncodeNetworks(request),
          .latent_height = request.height / latent_scale,
          .latent_width = request.width / latent_scale,
          .prior_guided = request.prior_guidance_scale > 1,
          .decoder_guided = request.guidance_scale > 1};
}

RemainingWork WorkAfter(const RemainingWork& whole, const StageProgress& progress) {
  RemainingWork work = {.steps = whole.steps,
                        .encode_networks = {},
                        .latent_height = whole.latent_height,
                        .latent_width = whole.latent_width,
                        .prior_guided = whole.prior_guided,
                        .decoder_guided = whole.decoder_guided};
  for (const Stage stage : kStages) {
    int& steps = work.steps[static_cast<size_t>(stage)];
    if (stage < progress.stage) steps = 0;
    if (stage == progress.stage) steps = progress.total_steps - progress.step;
  }
  const std::vector<EncodeNetwork>& networks = whole.encode_networks;
  const size_t left = std::min(networks.size(), static_cast<size_t>(std::max(0, work.steps[0])));
  work.encode_networks.assign(networks.end() - static_cast<ptrdiff_t>(left), networks.end());
  return work;
}

StepTimeModel::Kind StepTimeModel::KindOf(const BatchKey& key) {
  const bool encodes = key.stage == Stage::kEncode;
  const bool spatial = key.stage == Stage::kDenoise || key.stage == Stage::kDecode ||
                       (encodes && key.network == EncodeNetworkName(EncodeNetwork::kLatents));
  const bool has_guidance = key.stage == Stage::kPrior || key.stage == Stage::kDenoise;
  return {key.stage, encodes ? key.network : "", spatial ? key.latent_height : 0,
          spatial ? key.latent_width : 0, has_guidance && key.guided};
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
  // How far a measured kind is: first in area, then in guidance.
  const auto distance = [&](const Kind& other) {
    const double ratio = area(kind) / area(other);
    return std::make_pair(std::max(ratio, 1 / ratio), other.guided != kind.guided);
  };
  const std::pair<const Kind, Average>* nearest = nullptr;
  for (const auto& measured : averages_) {
    const Kind& other = measured.first;
    if (other.stage != kind.stage || other.network != kind.network) continue;
    if (nearest == nullptr || distance(other) < distance(nearest->first)) nearest = &measured;
  }
  if (nearest == nullptr) return {};
  const auto& [other, average] = *nearest;
  const double scale = area(kind) / area(other) * GuidanceFactor(kind.stage, other.guided, kind.guided);
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
  MutexLock lock(mutex_);
  for (const Stage stage : kStages) {
    BatchKey key = {.stage = stage,
                    .network = "",
                    .latent_height = work.latent_height,
                    .latent_width = work.latent_width,
                    .guided = stage == Stage::kPrior ? work.prior_guided : work.decoder_guided};
    if (stage != Stage::kEncode) {
      Add(key, work.steps[static_cast<size_t>(stage)], sum);
      continue;
    }
    for (const EncodeNetwork network : work.encode_networks) {
      key.network = EncodeNetworkName(network);
      Add(key, 1, sum);
    }
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
