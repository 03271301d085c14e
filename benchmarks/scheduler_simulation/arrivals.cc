#include "benchmarks/scheduler_simulation/arrivals.h"

#include <random>

#include "pipeline/kandinsky22/request_plan.h"

namespace kandinsky {
namespace {

constexpr double kMeanPhaseSeconds = 10;
constexpr double kBurstFactor = 1.75;
constexpr double kLullFactor = 0.25;

RequestKind Kind(int edge, int steps, double weight) {
  RequestKind kind = {.request = {}, .plan = nullptr, .weight = weight};
  kind.request.width = edge;
  kind.request.height = edge;
  kind.request.steps = steps;
  kind.plan = std::make_shared<const Plan>(PlanRequest(kind.request, {}));
  return kind;
}

// Gives the time of one arrival after the other.
class ArrivalTimes {
 public:
  ArrivalTimes(const WorkloadOptions& options, std::mt19937& random) : options_(options), random_(random) {}

  double Next() {
    double left = Exponential(1);  // of a unit rate
    while (true) {
      if (options_.bursty && now_ >= phase_end_) {
        burst_ = !burst_;
        phase_end_ = now_ + Exponential(1 / kMeanPhaseSeconds);
      }
      const double rate = options_.requests_per_second * Factor();
      const double end = now_ + left / rate;
      if (!options_.bursty || end <= phase_end_) return now_ = end;
      left -= (phase_end_ - now_) * rate;
      now_ = phase_end_;
    }
  }

 private:
  double Exponential(double rate) { return std::exponential_distribution<>(rate)(random_); }
  double Factor() const { return !options_.bursty ? 1 : burst_ ? kBurstFactor : kLullFactor; }

  const WorkloadOptions& options_;
  std::mt19937& random_;
  double now_ = 0;
  double phase_end_ = 0;
  bool burst_ = false;
};

}  // namespace

std::vector<RequestKind> MixedKinds() {
  return {Kind(512, 25, 0.20), Kind(512, 50, 0.40), Kind(512, 100, 0.05),
          Kind(768, 25, 0.10), Kind(768, 50, 0.20), Kind(1024, 50, 0.05)};
}

std::vector<Arrival> MakeArrivals(const WorkloadOptions& options, const std::vector<RequestKind>& kinds) {
  std::mt19937 random(options.seed);
  std::vector<double> weights;
  weights.reserve(kinds.size());
  for (const RequestKind& kind : kinds) weights.push_back(kind.weight);
  std::discrete_distribution<> draw_kind(weights.begin(), weights.end());
  std::uniform_int_distribution<> draw_client(0, options.clients - 1);
  std::bernoulli_distribution draw_greedy(options.greedy_share);
  ArrivalTimes times(options, random);
  std::vector<Arrival> arrivals(options.requests);
  for (Arrival& arrival : arrivals) {
    arrival.time = absl::UnixEpoch() + absl::Seconds(times.Next());
    arrival.deadline = arrival.time + options.patience;
    arrival.kind = draw_kind(random);
    arrival.client = draw_greedy(random) ? 0 : draw_client(random);
  }
  return arrivals;
}

double Capacity(const std::vector<RequestKind>& kinds, const SimulatedStepTimes& times, int rows) {
  double weights = 0;
  double seconds = 0;
  for (const RequestKind& kind : kinds) {
    weights += kind.weight;
    for (const PlannedPhase& phase : kind.plan->phases) {
      const absl::Duration step = SimulatedStepTime(times, phase.key, rows) / rows;
      seconds += kind.weight * phase.steps * absl::ToDoubleSeconds(step);
    }
  }
  return weights / seconds;
}

}  // namespace kandinsky
