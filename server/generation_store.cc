#include "server/generation_store.h"

#include <algorithm>
#include <optional>

namespace kandinsky::server {

GenerationStore::Match GenerationStore::MatchOf(const GenerationSpec& spec,
                                                std::shared_ptr<GenerationRecord>& record) const {
  const auto place = places_.find(KeyOf(spec));
  if (place == places_.end()) return Match::kNone;
  record = by_place_.at(place->second).record;
  if (record->dead()) return Match::kNone;
  return record->spec().joinable() && record->spec().body == spec.body ? Match::kSame : Match::kConflict;
}

GenerationStore::Found GenerationStore::Meet(const GenerationSpec& spec) {
  Dropped dropped;
  MutexLock lock(mutex_);
  Expire(dropped);
  Found found;
  found.match = MatchOf(spec, found.record);
  return found;
}

GenerationStore::Found GenerationStore::FindOrAdd(const std::shared_ptr<GenerationRecord>& candidate) {
  Dropped dropped;
  MutexLock lock(mutex_);
  Expire(dropped);
  Found found;
  found.match = MatchOf(candidate->spec(), found.record);
  if (found.match != Match::kNone) return found;
  const Key key = KeyOf(candidate->spec());
  if (found.record != nullptr) Remove(places_.at(key), dropped);
  found.record = candidate;
  by_place_[++last_place_] = {candidate};
  places_[key] = last_place_;
  ++live_;
  return found;
}

std::shared_ptr<GenerationRecord> GenerationStore::Find(const std::string& client,
                                                        const std::string& request_id) {
  Dropped dropped;
  MutexLock lock(mutex_);
  Expire(dropped);
  const auto place = places_.find(Key(client, request_id));
  return place == places_.end() ? nullptr : by_place_.at(place->second).record;
}

std::vector<GenerationStore::Listed> GenerationStore::List(uint64_t after, const Filter& filter,
                                                           size_t limit) {
  Dropped dropped;
  MutexLock lock(mutex_);
  Expire(dropped);
  std::vector<Listed> listed;
  for (auto next = by_place_.upper_bound(after); next != by_place_.end() && listed.size() < limit; ++next) {
    const GenerationRecord& record = *next->second.record;
    if (!filter.client.empty() && record.spec().client != filter.client) continue;
    if (filter.state != v1::GENERATION_STATE_UNSPECIFIED && record.state() != filter.state) continue;
    listed.push_back({next->first, next->second.record});
  }
  return listed;
}

void GenerationStore::RecordEnded(const std::shared_ptr<GenerationRecord>& record) {
  const std::optional<int64_t> bytes = record->KeptBytes();
  Dropped dropped;
  MutexLock lock(mutex_);
  --live_;
  ended_.NotifyAll();
  const auto place = places_.find(KeyOf(record->spec()));
  // Another run may have taken its place.
  if (place != places_.end() && by_place_.at(place->second).record == record) {
    if (bytes.has_value() && keep_ > absl::ZeroDuration()) {
      kept_[++last_end_] = {place->second, *bytes, clock_.Now() + keep_};
      by_place_.at(place->second).kept_as = last_end_;
      kept_bytes_ += *bytes;
    } else {
      Remove(place->second, dropped);
    }
  }
  Expire(dropped);
  while (kept_bytes_ > max_bytes_) RemoveOldest(dropped);
}

bool GenerationStore::EvictOldest() {
  Dropped dropped;
  MutexLock lock(mutex_);
  if (kept_.empty()) return false;
  RemoveOldest(dropped);
  return true;
}

void GenerationStore::WaitUntilNoneLive(absl::Time deadline) {
  MutexLock lock(mutex_);
  while (live_ > 0 && clock_.Now() < deadline) clock_.WaitUntil(mutex_, ended_, deadline);
}

int GenerationStore::live() const {
  MutexLock lock(mutex_);
  return live_;
}

size_t GenerationStore::kept() {
  Dropped dropped;
  MutexLock lock(mutex_);
  Expire(dropped);
  return kept_.size();
}

void GenerationStore::Remove(uint64_t place, Dropped& dropped) {
  const auto entry = by_place_.find(place);
  if (const auto kept = kept_.find(entry->second.kept_as); kept != kept_.end()) {
    kept_bytes_ -= kept->second.bytes;
    kept_.erase(kept);
  }
  places_.erase(KeyOf(entry->second.record->spec()));
  dropped.push_back(std::move(entry->second.record));
  by_place_.erase(entry);
}

void GenerationStore::RemoveOldest(Dropped& dropped) { Remove(kept_.begin()->second.place, dropped); }

void GenerationStore::Expire(Dropped& dropped) {
  const absl::Time now = clock_.Now();
  while (!kept_.empty() && kept_.begin()->second.expiry <= now) RemoveOldest(dropped);
}

}  // namespace kandinsky::server
