#include "tests/fakes/step_gate.h"

namespace kandinsky {

void StepGate::Pass() {
  MutexLock lock(mutex_);
  ++arrivals_;
  changed_.NotifyAll();
  while (!open_ && permits_ == 0) changed_.Wait(mutex_);
  if (!open_) --permits_;
}

void StepGate::WaitForArrivals(int count) {
  MutexLock lock(mutex_);
  while (arrivals_ < count) changed_.Wait(mutex_);
}

void StepGate::Allow(int count) {
  MutexLock lock(mutex_);
  permits_ += count;
  changed_.NotifyAll();
}

void StepGate::Open() {
  MutexLock lock(mutex_);
  open_ = true;
  changed_.NotifyAll();
}

}  // namespace kandinsky
