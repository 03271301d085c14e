#pragma once

#include "absl/time/time.h"

namespace kandinsky {

// The share of the last minute, weighted towards now, that something was busy. Not thread-safe.
class BusyMeter {
 public:
  // It was busy from `start` to `end`; calls come in the order of time and do not overlap.
  void Record(absl::Time start, absl::Time end);

  // 0 to 1, at `now`, which is not before the last end.
  double Ratio(absl::Time now) const;

 private:
  absl::Time last_ = absl::InfinitePast();
  double ratio_ = 0;  // at last_
};

}  // namespace kandinsky
