#include "server/event_queue.h"

#include <algorithm>
#include <utility>

namespace kandinsky::server {
namespace {

bool Replaces(const v1::GenerateEvent& newer, const v1::GenerateEvent& last) {
  return (newer.has_progress() && last.has_progress()) || (newer.has_queued() && last.has_queued());
}

bool ShowTheSameImage(const v1::GenerateEvent& a, const v1::GenerateEvent& b) {
  return a.has_preview() && b.has_preview() && a.preview().image_index() == b.preview().image_index();
}

// The bytes that may be cut; empty for an image without any.
const std::string& DataOf(const v1::GeneratedImage& image) {
  return image.has_latents() ? image.latents().data() : image.data();
}

}  // namespace

void EventQueue::Push(v1::GenerateEvent event) {
  if (!entries_.empty() && Replaces(event, entries_.back().event)) {
    entries_.back().event = std::move(event);
    return;
  }
  // In its old place: were it moved to the end, each new progress would find another slot behind it.
  const auto same = std::find_if(entries_.begin(), entries_.end(),
                                 [&](const Entry& entry) { return ShowTheSameImage(event, entry.event); });
  if (same != entries_.end()) {
    same->event = std::move(event);
  } else {
    entries_.push_back({std::move(event), nullptr});
  }
}

void EventQueue::PushImage(SharedImage image) { entries_.push_back({{}, std::move(image)}); }

std::optional<v1::GenerateEvent> EventQueue::Pop() {
  if (entries_.empty()) return std::nullopt;
  if (entries_.front().image != nullptr) return PopChunk();
  v1::GenerateEvent event = std::move(entries_.front().event);
  entries_.pop_front();
  return event;
}

v1::GenerateEvent EventQueue::PopChunk() {
  const v1::GeneratedImage& whole = *entries_.front().image;
  const std::string& data = DataOf(whole);
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
  if (whole.has_latents()) {
    *chunk.mutable_latents()->mutable_shape() = whole.latents().shape();
    chunk.mutable_latents()->set_data(data.substr(chunk_offset_, chunk_bytes_));
  } else if (!data.empty()) {
    chunk.set_data(data.substr(chunk_offset_, chunk_bytes_));
  }
  chunk_offset_ += DataOf(chunk).size();
  if (chunk_offset_ == data.size()) {
    entries_.pop_front();
    chunk_offset_ = 0;
  }
  return event;
}

void EventQueue::Clear() {
  entries_.clear();
  chunk_offset_ = 0;
}

}  // namespace kandinsky::server
