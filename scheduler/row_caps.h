#pragma once

#include "absl/container/flat_hash_map.h"
#include "pipeline/pipeline.h"

namespace kandinsky {

// How many rows of each batch key, whatever its adapter, fit into memory, learnt from steps that ran out of
// it. A key without such a step has no cap. A cap is probed upwards: after `probe_after` steps that were as
// large as the cap and went well, without one that failed between them, it grows by one; when that row fails
// the next probe comes twice as late (up to 64 times `probe_after`). A cap that has grown back to the largest
// batch that ever failed and went well is removed. Not thread-safe.
class RowCaps {
 public:
  // `probe_after` >= 1.
  explicit RowCaps(int probe_after = 64) : probe_after_(probe_after) {}

  // The most rows of a batch with `key`, at least 1; INT_MAX without a cap.
  int Cap(const BatchKey& key) const;

  // A step of `rows` samples ran out of memory. The cap becomes half of the rows, rounded up, or, when
  // the step was a probe, what it was before.
  void RecordOutOfMemory(const BatchKey& key, int rows);

  // A step of `rows` samples went well. Returns true when the cap was raised or removed by it.
  bool RecordSuccess(const BatchKey& key, int rows);

  // Keys that have a cap now.
  size_t size() const { return caps_.size(); }

 private:
  struct Entry {
    int cap = 1;
    int failed_rows = 0;   // the largest batch that failed
    int successes = 0;     // steps as large as the cap since the last failure or change of the cap
    int probe_after = 0;   // successes until the next probe
    bool probing = false;  // the cap was raised by a probe that has not gone well yet
  };

  const int probe_after_;
  absl::flat_hash_map<BatchKey, Entry> caps_;
};

}  // namespace kandinsky
