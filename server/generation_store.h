#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "absl/container/flat_hash_map.h"
#include "absl/time/time.h"
#include "base/clock.h"
#include "base/mutex.h"
#include "server/generation_record.h"

namespace kandinsky::server {

// The directory of all requests that are live or whose result is kept, by client and request id. Thread-safe.
class GenerationStore {
 public:
  // Results are kept for `keep` after their end, and at most `max_bytes` of them; the oldest go first. They
  // are dropped at the next use of the store after their time.
  GenerationStore(absl::Duration keep, int64_t max_bytes, Clock& clock)
      : keep_(keep), max_bytes_(max_bytes), clock_(clock) {}

  // What a call with a client and an id meets.
  enum class Match {
    kNone,      // nothing, or a dead request, whose place it may take
    kSame,      // the same request, which it may join
    kConflict,  // another request
  };
  struct Found {
    Match match = Match::kNone;
    std::shared_ptr<GenerationRecord> record;
  };

  // What a request like `spec` meets, without a change.
  Found Meet(const GenerationSpec& spec) EXCLUDES(mutex_);

  // The same, but where there is nothing `candidate` takes the place, and is the record.
  Found FindOrAdd(const std::shared_ptr<GenerationRecord>& candidate) EXCLUDES(mutex_);

  // The record of a request; null when there is none.
  std::shared_ptr<GenerationRecord> Find(const std::string& client, const std::string& request_id)
      EXCLUDES(mutex_);

  // A request and its place in the order of arrival, from 1.
  struct Listed {
    uint64_t place = 0;
    std::shared_ptr<GenerationRecord> record;
  };
  struct Filter {
    std::string client;  // "": of all
    v1::GenerationState state = v1::GENERATION_STATE_UNSPECIFIED;
  };
  // The first `limit` requests after the place `after`, the oldest first.
  std::vector<Listed> List(uint64_t after, const Filter& filter, size_t limit) EXCLUDES(mutex_);

  // The end of a record that FindOrAdd added; once for each, called by the record.
  void RecordEnded(const std::shared_ptr<GenerationRecord>& record) EXCLUDES(mutex_);

  // Forgets the oldest kept result, to make room; false when none is kept.
  bool EvictOldest() EXCLUDES(mutex_);

  // Waits until no record is live or `deadline`.
  void WaitUntilNoneLive(absl::Time deadline) EXCLUDES(mutex_);

  absl::Duration keep() const { return keep_; }
  int live() const EXCLUDES(mutex_);  // records that have not ended
  size_t kept() EXCLUDES(mutex_);     // records that have

 private:
  using Key = std::pair<std::string, std::string>;
  struct Entry {
    std::shared_ptr<GenerationRecord> record;
    uint64_t kept_as = 0;  // its key in kept_; 0: it is live
  };
  struct Kept {
    uint64_t place = 0;
    int64_t bytes = 0;
    absl::Time expiry;
  };
  // Records that go; destroyed after the lock.
  using Dropped = std::vector<std::shared_ptr<GenerationRecord>>;

  static Key KeyOf(const GenerationSpec& spec) { return {spec.client, spec.request_id}; }
  Match MatchOf(const GenerationSpec& spec, std::shared_ptr<GenerationRecord>& record) const REQUIRES(mutex_);
  void Remove(uint64_t place, Dropped& dropped) REQUIRES(mutex_);
  void RemoveOldest(Dropped& dropped) REQUIRES(mutex_);
  void Expire(Dropped& dropped) REQUIRES(mutex_);

  const absl::Duration keep_;
  const int64_t max_bytes_;
  Clock& clock_;

  mutable Mutex mutex_;
  ConditionVariable ended_;
  uint64_t last_place_ GUARDED_BY(mutex_) = 0;
  uint64_t last_end_ GUARDED_BY(mutex_) = 0;
  int live_ GUARDED_BY(mutex_) = 0;
  int64_t kept_bytes_ GUARDED_BY(mutex_) = 0;
  std::map<uint64_t, Entry> by_place_ GUARDED_BY(mutex_);
  absl::flat_hash_map<Key, uint64_t> places_ GUARDED_BY(mutex_);
  std::map<uint64_t, Kept> kept_ GUARDED_BY(mutex_);  // in the order of their ends
};

}  // namespace kandinsky::server
