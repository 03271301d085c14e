#pragma once

#include <cstdint>

#include "absl/time/time.h"
#include "base/clock.h"
#include "base/mutex.h"
#include "server/call_counts.h"

namespace kandinsky::server {

// Counts the calls that gRPC ends before any code of the server sees them: headers that are no gRPC call
// (method, te, path, authority), or above all limits. gRPC tells nobody, but its channelz counts the calls
// that have begun and the streams that are there: a call that is no stream any more, and that the dispatcher
// has not seen end, was refused. Calls on their way to the dispatcher, however long that takes, have a
// stream. Thread-safe.
class TransportRefusals {
 public:
  // `counts` and `clock` outlive this.
  TransportRefusals(const CallCounts& counts, Clock& clock) : counts_(counts), clock_(clock) {}

  // The server is the one that this process has begun last; before this call, and where channelz is switched
  // off, nothing is counted.
  void WatchNewestServer() EXCLUDES(mutex_);

  // How many calls were refused that were not taken yet. They come some time after their ends: all looks of a
  // second have to find them.
  int64_t Take() EXCLUDES(mutex_);

 private:
  // At least so many calls were refused and not taken.
  int64_t Missing() const REQUIRES(mutex_);

  const CallCounts& counts_;
  Clock& clock_;
  Mutex mutex_;
  int64_t server_ GUARDED_BY(mutex_) = 0;  // channelz's number of the server; 0: unknown
  int64_t taken_ GUARDED_BY(mutex_) = 0;
  int64_t found_ GUARDED_BY(mutex_) = 0;  // by every look since `since_`
  absl::Time since_ GUARDED_BY(mutex_);
};

}  // namespace kandinsky::server
