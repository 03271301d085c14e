#pragma once

#include <prometheus/counter.h>
#include <prometheus/family.h>
#include <prometheus/gauge.h>
#include <prometheus/histogram.h>
#include <prometheus/metric_family.h>
#include <prometheus/registry.h>

#include <string>
#include <vector>

namespace kandinsky::server {

// Families that are kept up to date: an empty one in `registry`, valid as long as it. `name` is new there.
prometheus::Family<prometheus::Counter>& AddCounters(prometheus::Registry& registry, const std::string& name,
                                                     const std::string& help);
prometheus::Family<prometheus::Gauge>& AddGauges(prometheus::Registry& registry, const std::string& name,
                                                 const std::string& help);
prometheus::Family<prometheus::Histogram>& AddHistograms(prometheus::Registry& registry,
                                                         const std::string& name, const std::string& help);

// Upper bounds of a histogram of durations: a ladder from `shortest` up, and `longest` as the last.
prometheus::Histogram::BucketBoundaries SecondsBuckets(double shortest, double longest);

// Families that are made at each scrape: with one value and no label...
prometheus::MetricFamily SimpleGauge(const std::string& name, const std::string& help, double value);
prometheus::MetricFamily SimpleCounter(const std::string& name, const std::string& help, double value);

// ...and with one value for each value of a label.
struct LabeledValue {
  std::string label_value;
  double value = 0;
};
prometheus::MetricFamily LabeledGauge(const std::string& name, const std::string& help,
                                      const std::string& label, const std::vector<LabeledValue>& values);
prometheus::MetricFamily LabeledCounter(const std::string& name, const std::string& help,
                                        const std::string& label, const std::vector<LabeledValue>& values);

}  // namespace kandinsky::server
