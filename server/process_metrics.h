#pragma once

#include <prometheus/metric_family.h>

#include <vector>

namespace kandinsky::server {

// The usual process_* metrics of this process: CPU seconds, resident memory, open and allowed file
// descriptors, threads, start time. What /proc does not tell is left out. And the log lines that were lost.
std::vector<prometheus::MetricFamily> CollectProcessMetrics();

}  // namespace kandinsky::server
