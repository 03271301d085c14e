// Compares ways of serving in virtual time: serial, static batches, dynamic batching with a delay, and the
// server's own step-level batching, over the server's own admission, queue and planner. Prints tables, and
// writes a plot of the median latency.
//
// Usage: scheduler_simulation [--requests 100000] [--plot latency.svg] [--large]
#include <CLI/CLI.hpp>
#include <chrono>
#include <cstdio>
#include <exception>
#include <fstream>
#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "benchmarks/scheduler_simulation/arrivals.h"
#include "benchmarks/scheduler_simulation/policies.h"
#include "benchmarks/scheduler_simulation/virtual_engine.h"
#include "imaging/line_plot.h"

namespace kandinsky {
namespace {

constexpr double kLoads[] = {0.25, 0.5, 0.8, 0.95};
constexpr const char* kColors[] = {"#999999", "#d95f02", "#7570b3", "#1b9e77"};
constexpr int kRows = 8;

struct Setup {
  std::vector<RequestKind> kinds = MixedKinds();
  SimulatedStepTimes times;
  size_t requests = 100000;

  double capacity() const { return Capacity(kinds, times, kRows); }

  SimulationResult Run(const ServingPolicy& policy, const WorkloadOptions& workload) const {
    return VirtualEngine(policy.options, times, kinds).Run(MakeArrivals(workload, kinds));
  }
};

void PrintHeader(const char* first) {
  std::printf(
      "\n| %s | p50 s | p95 s | p99 s | worst s | done per s | offered per s | rows per step | busy |\n"
      "|---|---|---|---|---|---|---|---|---|\n",
      first);
}

void PrintRow(const std::string& name, const SimulationResult& result, double offered) {
  std::printf("| %s | %.2f | %.2f | %.2f | %.2f | %.3f | %.3f | %.2f | %.0f %% |\n", name.c_str(),
              result.Percentile(0.5), result.Percentile(0.95), result.Percentile(0.99),
              result.latencies_s.empty() ? 0 : result.latencies_s.back(), result.throughput(), offered,
              result.mean_rows(), 100 * absl::FDivDuration(result.busy, result.makespan));
}

// Below capacity: how long requests take. Returns one line of the plot per policy.
std::vector<PlotSeries> CompareLatencies(const Setup& setup, bool bursty) {
  std::vector<PlotSeries> lines;
  for (const ServingPolicy& policy : AllPolicies()) {
    lines.push_back({.name = policy.name, .color = kColors[lines.size()], .points = {}});
  }
  for (const double load : kLoads) {
    const double rate = load * setup.capacity();
    PrintHeader(absl::StrCat(bursty ? "bursts" : "Poisson", ", load ", load * 100, " %").c_str());
    size_t line = 0;
    for (const ServingPolicy& policy : AllPolicies()) {
      const SimulationResult result =
          setup.Run(policy, {.requests = setup.requests, .requests_per_second = rate, .bursty = bursty});
      PrintRow(policy.name, result, rate);
      lines[line++].points.emplace_back(load * 100, result.Percentile(0.5));
    }
  }
  return lines;
}

// Beyond capacity: what is done in time when everybody waits a minute at most.
void CompareOverload(const Setup& setup) {
  std::printf(
      "\n| offered load, deadline 60 s | done in time per s | share of capacity | refused: queue | "
      "refused: deadline | expired |\n|---|---|---|---|---|---|\n");
  for (const double load : {0.8, 1.0, 1.5, 3.0}) {
    ServingPolicy policy = StepLevelPolicy();
    policy.options.max_queued_requests = 64;
    const SimulationResult result = setup.Run(policy, {.requests = setup.requests,
                                                       .requests_per_second = load * setup.capacity(),
                                                       .patience = absl::Minutes(1)});
    const double share = result.throughput() / setup.capacity();
    std::printf("| %.0f %% | %.3f | %.3f | %lld | %lld | %lld |\n", load * 100, result.throughput(), share,
                static_cast<long long>(result.refused_queue), static_cast<long long>(result.refused_deadline),
                static_cast<long long>(result.expired));
  }
}

// A million requests, for the speed of the scheduler's own code.
void RunLarge(const Setup& setup) {
  const auto start = std::chrono::steady_clock::now();
  const SimulationResult result =
      setup.Run(StepLevelPolicy(), {.requests = 1000000, .requests_per_second = 0.8 * setup.capacity()});
  const double seconds = std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
  std::printf("\n1000000 requests, %lld steps of %.2f rows: %.1f s, %.2f us per step\n",
              static_cast<long long>(result.steps), result.mean_rows(), seconds,
              1e6 * seconds / static_cast<double>(result.steps));
}

int Main(int argc, char** argv) {
  CLI::App app("Ways of serving, compared in virtual time");
  Setup setup;
  std::string plot;
  bool large = false;
  app.add_option("--requests", setup.requests, "Requests of each run")->check(CLI::Range(100, 10000000));
  app.add_option("--plot", plot, "Where the plot (SVG) is written");
  app.add_flag("--large", large, "Also a million requests, timed");
  CLI11_PARSE(app, argc, argv);

  std::printf("capacity with full batches of %d: %.3f requests/s\n", kRows, setup.capacity());
  const std::vector<PlotSeries> lines = CompareLatencies(setup, /*bursty=*/false);
  CompareLatencies(setup, /*bursty=*/true);
  CompareOverload(setup);
  if (large) RunLarge(setup);
  if (plot.empty()) return 0;
  std::ofstream file(plot);
  file << LinePlot({.title = "Median latency by offered load (Poisson arrivals, mixed sizes and steps)",
                    .x = "offered load, % of the capacity of full batches of 8",
                    .y = "seconds"},
                   lines);
  file.close();
  if (!file) std::fprintf(stderr, "%s could not be written\n", plot.c_str());
  return file ? 0 : 1;
}

}  // namespace
}  // namespace kandinsky

int main(int argc, char** argv) {
  try {
    return kandinsky::Main(argc, argv);
  } catch (const std::exception& error) {
    std::fprintf(stderr, "%s\n", error.what());
  }
  return 1;
}
