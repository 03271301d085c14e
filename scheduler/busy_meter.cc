#include "scheduler/busy_meter.h"

#include <cmath>

namespace kandinsky {
namespace {

// How much of the present average is left after `elapsed`; the weight of a moment falls by e per minute.
double Fading(absl::Duration elapsed) { return std::exp(-absl::FDivDuration(elapsed, absl::Minutes(1))); }

}  // namespace

void BusyMeter::Record(absl::Time start, absl::Time end) {
  const double fading = Fading(end - start);
  ratio_ = Ratio(start) * fading + (1 - fading);
  last_ = end;
}

double BusyMeter::Ratio(absl::Time now) const {
  return last_ == absl::InfinitePast() ? 0 : ratio_ * Fading(now - last_);
}

}  // namespace kandinsky
