#pragma once

#include <cstddef>
#include <deque>
#include <optional>

#include "kandinsky/v1/image_generation.pb.h"
#include "server/generation_listener.h"

namespace kandinsky::server {

// The events that wait to be written to one stream, in order. The newest queue position replaces the one
// before, progress takes one slot, in which the newest replaces the others, and so does the preview of each
// image; nothing else is ever dropped. So a slow reader holds at most its images and a few small events. Not
// thread-safe.
class EventQueue {
 public:
  // Images and latents are cut into messages with at most `chunk_bytes` bytes of data, > 0.
  explicit EventQueue(size_t chunk_bytes) : chunk_bytes_(chunk_bytes) {}

  // Appends an event that is not an image. A position or progress replaces one that is still the last in the
  // queue, a preview one of the same image anywhere in it.
  void Push(v1::GenerateEvent event);

  void PushImage(SharedImage image);

  // Takes the next message to write. Nothing when the queue is empty.
  std::optional<v1::GenerateEvent> Pop();

  void Clear();
  bool empty() const { return entries_.empty(); }

 private:
  struct Entry {
    v1::GenerateEvent event;
    SharedImage image;  // null for other events
  };

  v1::GenerateEvent PopChunk();

  const size_t chunk_bytes_;
  std::deque<Entry> entries_;
  size_t chunk_offset_ = 0;  // bytes of the first entry's image that were taken already
};

}  // namespace kandinsky::server
