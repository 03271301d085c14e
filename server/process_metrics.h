#pragma once

#include <prometheus/metric_family.h>

#include <string>
#include <vector>

namespace kandinsky {

// A family with one gauge and no label.
prometheus::MetricFamily SimpleGauge(const std::string& name, const std::string& help, double value);

// The usual process_* metrics of this process: CPU seconds, resident memory, open and allowed file
// descriptors, threads, start time. What /proc does not tell is left out.
std::vector<prometheus::MetricFamily> CollectProcessMetrics();

}  // namespace kandinsky
