#include <gtest/gtest.h>

#include <algorithm>

#include "benchmarks/scheduler_simulation/arrivals.h"
#include "benchmarks/scheduler_simulation/policies.h"
#include "benchmarks/scheduler_simulation/virtual_engine.h"
#include "imaging/line_plot.h"

namespace kandinsky {
namespace {

// Time is virtual, so every figure here is the same on every machine.
class SchedulerSimulationTest : public testing::Test {
 protected:
  SimulationResult Run(const ServingPolicy& policy, const WorkloadOptions& workload) const {
    return VirtualEngine(policy.options, times_, kinds_).Run(MakeArrivals(workload, kinds_));
  }

  WorkloadOptions Load(double share, size_t requests = 8000) const {
    return {.requests = requests, .requests_per_second = share * capacity_};
  }

  static ServingPolicy Bounded(size_t max_queued_requests) {
    ServingPolicy policy = StepLevelPolicy();
    policy.options.max_queued_requests = max_queued_requests;
    return policy;
  }

  const std::vector<RequestKind> kinds_ = MixedKinds();
  const SimulatedStepTimes times_;
  const double capacity_ = Capacity(kinds_, times_, 8);
};

TEST_F(SchedulerSimulationTest, StepLevelBatchingHalvesTheMedianOfStaticBatchesAtTheSameThroughput) {
  const SimulationResult static_batches = Run(StaticPolicy(), Load(0.8));
  const SimulationResult step_level = Run(StepLevelPolicy(), Load(0.8));
  EXPECT_LE(step_level.Percentile(0.5), 0.5 * static_batches.Percentile(0.5));
  EXPECT_GE(step_level.throughput(), 0.97 * static_batches.throughput());
}

TEST_F(SchedulerSimulationTest, NearCapacityItsTailIsShorterThanThatOfAnyOtherPolicy) {
  const double tail = Run(StepLevelPolicy(), Load(0.95)).Percentile(0.99);
  for (const ServingPolicy& policy : {SerialPolicy(), StaticPolicy(), DynamicPolicy()}) {
    EXPECT_LT(tail, Run(policy, Load(0.95)).Percentile(0.99)) << policy.name;
  }
}

TEST_F(SchedulerSimulationTest, GoodputSurvivesThreeTimesTheCapacity) {
  const auto goodput = [&](double share) {
    WorkloadOptions workload = Load(share);
    workload.patience = absl::Minutes(1);
    return Run(Bounded(64), workload).throughput();
  };
  const double peak = std::max(goodput(1.0), goodput(1.5));
  EXPECT_GE(peak, 0.9 * capacity_);
  EXPECT_GE(goodput(3.0), 0.9 * peak);
}

TEST_F(SchedulerSimulationTest, NoKindOfRequestStarves) {
  const SimulationResult result = Run(StepLevelPolicy(), Load(0.8));
  EXPECT_EQ(result.latencies_s.size(), 8000u);
  for (size_t kind = 0; kind < kinds_.size(); ++kind) {
    EXPECT_GT(result.worst_latency_by_kind_s[kind], 0);
    EXPECT_LT(result.worst_latency_by_kind_s[kind], 30) << "kind " << kind;
  }
}

TEST_F(SchedulerSimulationTest, AGreedyClientDoesNotHarmTheOthers) {
  WorkloadOptions workload = Load(3.0);
  workload.patience = absl::Minutes(1);
  workload.clients = 11;
  workload.greedy_share = 0.8;  // the ten others together ask for 0.55 of the capacity
  const std::vector<Arrival> arrivals = MakeArrivals(workload, kinds_);
  const SimulationResult result = VirtualEngine(Bounded(64).options, times_, kinds_).Run(arrivals);
  std::vector<int64_t> asked(result.completed_by_client.size());
  for (const Arrival& arrival : arrivals) ++asked[static_cast<size_t>(arrival.client)];
  for (size_t client = 1; client < asked.size(); ++client) {
    EXPECT_GE(result.completed_by_client[client], asked[client] * 99 / 100) << "client " << client;
  }
  EXPECT_LT(result.completed_by_client[0], asked[0] / 2);
}

TEST_F(SchedulerSimulationTest, RefusesWhatItCannotFinishInTimeInsteadOfLettingItExpire) {
  WorkloadOptions workload = Load(2.0);
  workload.patience = absl::Seconds(10);
  const SimulationResult result = Run(Bounded(64), workload);
  EXPECT_GT(result.refused_deadline + result.refused_queue, 1000);
  EXPECT_LT(result.expired, result.refused_deadline / 3);
  EXPECT_GE(result.throughput(), 0.9 * capacity_);
}

TEST_F(SchedulerSimulationTest, TheSameWorkloadGivesTheSameResult) {
  EXPECT_EQ(Run(StepLevelPolicy(), Load(0.8, 1000)).latencies_s,
            Run(StepLevelPolicy(), Load(0.8, 1000)).latencies_s);
}

TEST(ArrivalsTest, BurstsKeepTheMeanRate) {
  const WorkloadOptions options = {.requests = 200000, .requests_per_second = 10, .bursty = true};
  const std::vector<Arrival> arrivals = MakeArrivals(options, MixedKinds());
  const double seconds = absl::ToDoubleSeconds(arrivals.back().time - arrivals.front().time);
  EXPECT_NEAR(static_cast<double>(arrivals.size()) / seconds, 10, 0.5);
  EXPECT_TRUE(std::is_sorted(arrivals.begin(), arrivals.end(),
                             [](const Arrival& a, const Arrival& b) { return a.time < b.time; }));
}

TEST(SvgPlotTest, DrawsEverySeriesWithItsName) {
  const std::string svg = LinePlot({.title = "t", .x = "x", .y = "y"},
                                   {{.name = "first", .color = "red", .points = {{1, 2}, {3, 40}}},
                                    {.name = "second", .color = "blue", .points = {{1, 5}}}});
  for (const char* text : {"<svg", "first", "second", "polyline", "</svg>"}) {
    EXPECT_NE(svg.find(text), std::string::npos) << text;
  }
}

}  // namespace
}  // namespace kandinsky
