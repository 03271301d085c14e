#include "scheduler/row_caps.h"

#include <algorithm>
#include <climits>

namespace kandinsky {
namespace {

constexpr int kMostDelayFactor = 64;  // of the next probe, in units of probe_after

// Adapters change weights, not what a step takes beside them: all share their caps.
BatchKey WithoutAdapter(BatchKey key) {
  key.adapter.clear();
  return key;
}

}  // namespace

int RowCaps::Cap(const BatchKey& key) const {
  if (caps_.empty()) return INT_MAX;
  const auto found = caps_.find(WithoutAdapter(key));
  return found == caps_.end() ? INT_MAX : found->second.cap;
}

void RowCaps::RecordOutOfMemory(const BatchKey& key, int rows) {
  const int half = std::max(1, (rows + 1) / 2);
  const auto [found, added] =
      caps_.try_emplace(WithoutAdapter(key), Entry{.cap = half, .probe_after = probe_after_});
  Entry& entry = found->second;
  if (entry.probing && rows == entry.cap) {
    --entry.cap;
    entry.probe_after = std::min(2 * entry.probe_after, kMostDelayFactor * probe_after_);
  } else {
    entry.cap = std::min(entry.cap, half);
  }
  entry.failed_rows = std::max(entry.failed_rows, rows);
  entry.successes = 0;
  entry.probing = false;
}

bool RowCaps::RecordSuccess(const BatchKey& key, int rows) {
  if (caps_.empty()) return false;
  const auto found = caps_.find(WithoutAdapter(key));
  // A smaller step says nothing about the cap.
  if (found == caps_.end() || rows < found->second.cap) return false;
  Entry& entry = found->second;
  if (rows >= entry.failed_rows) {
    caps_.erase(found);
    return true;
  }
  if (entry.probing) {
    entry.probing = false;
    entry.probe_after = probe_after_;
    entry.successes = 0;
  }
  if (++entry.successes < entry.probe_after) return false;
  ++entry.cap;
  entry.successes = 0;
  entry.probing = true;
  return true;
}

}  // namespace kandinsky
