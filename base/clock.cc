#include "base/clock.h"

#include <chrono>

#include "absl/time/clock.h"

namespace kandinsky {
namespace {

class RealClock : public Clock {
 public:
  RealClock() : wall_start_(absl::Now()), steady_start_(std::chrono::steady_clock::now()) {}

  absl::Time Now() const override {
    return wall_start_ + absl::FromChrono(std::chrono::steady_clock::now() - steady_start_);
  }

  void WaitUntil(Mutex& mutex, ConditionVariable& condition, absl::Time deadline) override REQUIRES(mutex) {
    const absl::Duration offset = deadline - wall_start_;
    if (offset > absl::Hours(24 * 365 * 100)) {  // More would not fit into 64 bits of nanoseconds.
      condition.Wait(mutex);
      return;
    }
    condition.WaitUntil(mutex, steady_start_ + absl::ToChronoNanoseconds(offset));
  }

 private:
  const absl::Time wall_start_;
  const std::chrono::steady_clock::time_point steady_start_;
};

}  // namespace

Clock& Clock::Real() {
  static RealClock* const clock = new RealClock;  // Never destroyed: threads may outlive static destructors.
  return *clock;
}

}  // namespace kandinsky
