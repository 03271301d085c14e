#pragma once

#include <cstddef>
#include <deque>
#include <optional>

#include "kandinsky/v1/image_generation.pb.h"

namespace kandinsky {

// The events that wait to be written to one stream, in order. Progress takes one slot, in which the newest
// replaces the others; nothing else is ever dropped. So a slow reader holds at most its images and a few
// small events. Not thread-safe.
class EventQueue {
 public:
  // Images are cut into messages with at most `chunk_bytes` bytes of data, > 0.
  explicit EventQueue(size_t chunk_bytes) : chunk_bytes_(chunk_bytes) {}

  // Appends an event; a progress event replaces one that is still the last in the queue.
  void Push(v1::GenerateEvent event);

  // Takes the next message to write. Nothing when the queue is empty.
  std::optional<v1::GenerateEvent> Pop();

  void Clear();
  bool empty() const { return events_.empty(); }

 private:
  v1::GenerateEvent PopChunk();

  const size_t chunk_bytes_;
  std::deque<v1::GenerateEvent> events_;
  size_t chunk_offset_ = 0;  // bytes of the first event's image that were taken already
};

}  // namespace kandinsky
