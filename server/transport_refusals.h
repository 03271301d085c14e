#pragma once

#include <cstdint>
#include <functional>
#include <utility>

#include "base/mutex.h"

namespace kandinsky {

// Counts the calls that gRPC ends before any code of the server sees them: headers that are no gRPC call
// (method, te, path, authority), or above all limits. gRPC tells nobody, but its channelz counts the calls
// that have begun; those of them that the dispatcher has not got were refused. Thread-safe.
class TransportRefusals {
 public:
  // `calls` tells how many calls the dispatcher has got.
  explicit TransportRefusals(std::function<int64_t()> calls) : calls_(std::move(calls)) {}

  // The server is the one that this process has begun last; before this call, and where channelz is switched
  // off, nothing is counted.
  void WatchNewestServer() EXCLUDES(mutex_);

  // How many calls were refused since the last time. Takes up to 40 ms where some were.
  int64_t Take() EXCLUDES(mutex_);

 private:
  int64_t Missing() const REQUIRES(mutex_);

  const std::function<int64_t()> calls_;
  Mutex mutex_;
  int64_t server_ GUARDED_BY(mutex_) = 0;  // channelz's number of the server; 0: unknown
  int64_t taken_ GUARDED_BY(mutex_) = 0;
};

}  // namespace kandinsky
