#pragma once

#include "base/mutex.h"

namespace kandinsky {

// Holds the steps of a FakePipeline until a test lets them through: call Pass from
// FakePipelineOptions::on_step. Thread-safe.
class StepGate {
 public:
  // Counts an arrival, then blocks until a permit is left.
  void Pass() EXCLUDES(mutex_);

  // Blocks until `count` steps in total have arrived.
  void WaitForArrivals(int count) EXCLUDES(mutex_);

  // Lets `count` more steps through.
  void Allow(int count) EXCLUDES(mutex_);

  // Lets all steps through from now on. Call it before the engine ends: the engine waits for its running
  // steps.
  void Open() EXCLUDES(mutex_);

 private:
  Mutex mutex_;
  ConditionVariable changed_;
  int arrivals_ GUARDED_BY(mutex_) = 0;
  int permits_ GUARDED_BY(mutex_) = 0;
  bool open_ GUARDED_BY(mutex_) = false;
};

}  // namespace kandinsky
