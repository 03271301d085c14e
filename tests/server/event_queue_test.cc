#include "server/event_queue.h"

#include <gtest/gtest.h>

namespace kandinsky {
namespace {

v1::GenerateEvent Progress(int step) {
  v1::GenerateEvent event;
  event.mutable_progress()->set_step(step);
  return event;
}

v1::GenerateEvent ImageOf(int index, std::string data) {
  v1::GenerateEvent event;
  event.mutable_image()->set_index(index);
  event.mutable_image()->set_seed(77);
  event.mutable_image()->set_total_bytes(static_cast<int>(data.size()));
  event.mutable_image()->set_data(std::move(data));
  return event;
}

TEST(EventQueue, KeepsOnlyTheNewestProgress) {
  EventQueue queue(10);
  for (int step = 1; step <= 1000; ++step) queue.Push(Progress(step));
  EXPECT_EQ(queue.Pop()->progress().step(), 1000);
  EXPECT_FALSE(queue.Pop().has_value());
}

TEST(EventQueue, NeverDropsOrReordersImages) {
  EventQueue queue(10);
  queue.Push(Progress(1));
  queue.Push(ImageOf(0, "abc"));
  queue.Push(Progress(2));
  queue.Push(Progress(3));
  queue.Push(ImageOf(1, "def"));
  EXPECT_EQ(queue.Pop()->progress().step(), 1);
  EXPECT_EQ(queue.Pop()->image().index(), 0);
  EXPECT_EQ(queue.Pop()->progress().step(), 3);
  EXPECT_EQ(queue.Pop()->image().index(), 1);
  EXPECT_TRUE(queue.empty());
}

TEST(EventQueue, CutsImagesIntoChunksThatJoinToTheWhole) {
  for (const size_t size : {9u, 10u, 11u, 20u, 21u}) {
    EventQueue queue(10);
    const std::string whole = std::string("0123456789abcdefghijklmnop").substr(0, size);
    queue.Push(ImageOf(3, whole));
    std::string joined;
    size_t messages = 0;
    while (const auto event = queue.Pop()) {
      const v1::GeneratedImage& image = event->image();
      EXPECT_EQ(image.data_offset(), static_cast<int>(joined.size()));
      EXPECT_LE(image.data().size(), 10u);
      EXPECT_EQ(image.index(), 3);
      EXPECT_EQ(image.seed(), 77u);
      EXPECT_EQ(image.total_bytes(), static_cast<int>(size));
      joined += image.data();
      ++messages;
    }
    EXPECT_EQ(joined, whole);
    EXPECT_EQ(messages, (size + 9) / 10);
  }
}

TEST(EventQueue, DoesNotMixChunksOfTwoImages) {
  EventQueue queue(4);
  queue.Push(ImageOf(0, "aaaaaa"));
  queue.Push(ImageOf(1, "bbbbbb"));
  std::string joined;
  while (const auto event = queue.Pop()) joined += event->image().data() + "|";
  EXPECT_EQ(joined, "aaaa|aa|bbbb|bb|");
}

TEST(EventQueue, StartsAfreshAfterClearInTheMiddleOfAnImage) {
  EventQueue queue(4);
  queue.Push(ImageOf(0, "aaaaaa"));
  queue.Pop();
  queue.Clear();
  queue.Push(ImageOf(1, "bbbbbb"));
  EXPECT_EQ(queue.Pop()->image().data(), "bbbb");
}

}  // namespace
}  // namespace kandinsky
