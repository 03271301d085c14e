#include "server/metric_families.h"

namespace kandinsky::server {

using prometheus::MetricFamily;
using prometheus::MetricType;

prometheus::Family<prometheus::Counter>& AddCounters(prometheus::Registry& registry, const std::string& name,
                                                     const std::string& help) {
  return prometheus::BuildCounter().Name(name).Help(help).Register(registry);
}

prometheus::Family<prometheus::Gauge>& AddGauges(prometheus::Registry& registry, const std::string& name,
                                                 const std::string& help) {
  return prometheus::BuildGauge().Name(name).Help(help).Register(registry);
}

prometheus::Family<prometheus::Histogram>& AddHistograms(prometheus::Registry& registry,
                                                         const std::string& name, const std::string& help) {
  return prometheus::BuildHistogram().Name(name).Help(help).Register(registry);
}

prometheus::Histogram::BucketBoundaries SecondsBuckets(double shortest, double longest) {
  constexpr double kLadder[] = {0.001, 0.0025, 0.005, 0.01, 0.025, 0.05,  0.1,   0.25, 0.5,
                                1,     2.5,    5,     10,   25,    50,    100,   200,  300,
                                600,   1200,   1800,  3600, 7200,  14400, 28800, 43200};
  prometheus::Histogram::BucketBoundaries bounds;
  for (const double rung : kLadder) {
    if (rung >= shortest && rung < longest) bounds.push_back(rung);
  }
  bounds.push_back(longest);
  return bounds;
}

MetricFamily SimpleGauge(const std::string& name, const std::string& help, double value) {
  MetricFamily family{name, help, MetricType::Gauge, {}};
  family.metric.emplace_back().gauge.value = value;
  return family;
}

MetricFamily SimpleCounter(const std::string& name, const std::string& help, double value) {
  MetricFamily family{name, help, MetricType::Counter, {}};
  family.metric.emplace_back().counter.value = value;
  return family;
}

MetricFamily LabeledGauge(const std::string& name, const std::string& help, const std::string& label,
                          const std::vector<LabeledValue>& values) {
  MetricFamily family{name, help, MetricType::Gauge, {}};
  for (const LabeledValue& entry : values) {
    prometheus::ClientMetric& metric = family.metric.emplace_back();
    metric.label.push_back({label, entry.label_value});
    metric.gauge.value = entry.value;
  }
  return family;
}

MetricFamily LabeledCounter(const std::string& name, const std::string& help, const std::string& label,
                            const std::vector<LabeledValue>& values) {
  MetricFamily family{name, help, MetricType::Counter, {}};
  for (const LabeledValue& entry : values) {
    prometheus::ClientMetric& metric = family.metric.emplace_back();
    metric.label.push_back({label, entry.label_value});
    metric.counter.value = entry.value;
  }
  return family;
}

}  // namespace kandinsky::server
