#include "server/event_queue.h"

#include <utility>

namespace kandinsky {

void EventQueue::Push(v1::GenerateEvent event) {
  if (event.has_progress() && !events_.empty() && events_.back().has_progress()) {
    events_.back() = std::move(event);
    return;
  }
  events_.push_back(std::move(event));
}

std::optional<v1::GenerateEvent> EventQueue::Pop() {
  if (events_.empty()) return std::nullopt;
  if (events_.front().image().data().size() > chunk_bytes_) return PopChunk();
  v1::GenerateEvent event = std::move(events_.front());
  events_.pop_front();
  return event;
}

v1::GenerateEvent EventQueue::PopChunk() {
  const v1::GeneratedImage& whole = events_.front().image();
  v1::GenerateEvent event;
  v1::GeneratedImage& chunk = *event.mutable_image();
  chunk.set_index(whole.index());
  chunk.set_seed(whole.seed());
  chunk.set_format(whole.format());
  chunk.set_mime_type(whole.mime_type());
  chunk.set_width(whole.width());
  chunk.set_height(whole.height());
  chunk.set_total_bytes(whole.total_bytes());
  chunk.set_data_offset(static_cast<int32_t>(chunk_offset_));
  chunk.set_data(whole.data().substr(chunk_offset_, chunk_bytes_));
  chunk_offset_ += chunk.data().size();
  if (chunk_offset_ == whole.data().size()) {
    events_.pop_front();
    chunk_offset_ = 0;
  }
  return event;
}

void EventQueue::Clear() {
  events_.clear();
  chunk_offset_ = 0;
}

}  // namespace kandinsky
