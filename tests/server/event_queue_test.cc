#include "server/event_queue.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace kandinsky::server {
namespace {

using testing::ElementsAre;

v1::GenerateEvent Progress(int step) {
  v1::GenerateEvent event;
  event.mutable_progress()->set_step(step);
  return event;
}

v1::GenerateEvent Queued(int position) {
  v1::GenerateEvent event;
  event.mutable_queued()->set_position(position);
  return event;
}

v1::GenerateEvent Preview(int index, int step) {
  v1::GenerateEvent event;
  event.mutable_preview()->set_image_index(index);
  event.mutable_preview()->set_step(step);
  return event;
}

SharedImage ImageOf(int index, std::string data) {
  v1::GeneratedImage image;
  image.set_index(index);
  image.set_seed(77);
  image.set_total_bytes(static_cast<int>(data.size()));
  image.set_data(std::move(data));
  return std::make_shared<const v1::GeneratedImage>(std::move(image));
}

TEST(EventQueue, KeepsOnlyTheNewestProgress) {
  EventQueue queue(10);
  for (int step = 1; step <= 1000; ++step) queue.Push(Progress(step));
  EXPECT_EQ(queue.Pop()->progress().step(), 1000);
  EXPECT_FALSE(queue.Pop().has_value());
}

TEST(EventQueue, KeepsOnlyTheNewestPosition) {
  EventQueue queue(10);
  for (int position = 100; position >= 0; --position) queue.Push(Queued(position));
  EXPECT_EQ(queue.Pop()->queued().position(), 0);
  EXPECT_TRUE(queue.empty());
}

TEST(EventQueue, KeepsOnlyTheNewestPreviewOfEachImage) {
  EventQueue queue(10);
  queue.Push(Preview(0, 1));
  queue.Push(Preview(1, 1));
  queue.Push(Preview(0, 2));
  EXPECT_EQ(queue.Pop()->preview().step(), 2);
  EXPECT_EQ(queue.Pop()->preview().image_index(), 1);
  EXPECT_TRUE(queue.empty());
}

TEST(EventQueue, DoesNotGrowWithPreviewsAndProgressInTurn) {
  EventQueue queue(10);
  for (int step = 1; step <= 1000; ++step) {
    queue.Push(Preview(step % 2, step));
    queue.Push(Progress(step));
  }
  int events = 0;
  while (queue.Pop().has_value()) ++events;
  EXPECT_LE(events, 4);
}

TEST(EventQueue, NeverDropsOrReordersImages) {
  EventQueue queue(10);
  queue.Push(Progress(1));
  queue.PushImage(ImageOf(0, "abc"));
  queue.Push(Progress(2));
  queue.Push(Progress(3));
  queue.PushImage(ImageOf(1, "def"));
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
    queue.PushImage(ImageOf(3, whole));
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

TEST(EventQueue, CutsLatentsAndSendsTheirShapeWithEachPart) {
  v1::GeneratedImage latents;
  latents.set_total_bytes(12);
  latents.mutable_latents()->add_shape(3);
  latents.mutable_latents()->set_data("aaaabbbbcccc");
  EventQueue queue(8);
  queue.PushImage(std::make_shared<const v1::GeneratedImage>(latents));
  std::string joined;
  for (const std::string part : {"aaaabbbb", "cccc"}) {
    const auto event = queue.Pop();
    ASSERT_TRUE(event.has_value());
    EXPECT_EQ(event->image().data_offset(), static_cast<int>(joined.size()));
    EXPECT_EQ(event->image().total_bytes(), 12);
    EXPECT_THAT(event->image().latents().shape(), ElementsAre(3));
    EXPECT_EQ(event->image().latents().data(), part);
    joined += part;
  }
  EXPECT_TRUE(queue.empty());
}

TEST(EventQueue, SendsAnImageWithoutDataAsOneMessageWithoutPayload) {
  EventQueue queue(8);
  v1::GeneratedImage facts;
  facts.set_seed(5);
  queue.PushImage(std::make_shared<const v1::GeneratedImage>(facts));
  const auto event = queue.Pop();
  ASSERT_TRUE(event.has_value());
  EXPECT_EQ(event->image().seed(), 5u);
  EXPECT_EQ(event->image().payload_case(), v1::GeneratedImage::PAYLOAD_NOT_SET);
  EXPECT_TRUE(queue.empty());
}

TEST(EventQueue, HoldsAnImageNoLongerThanItsLastPart) {
  EventQueue queue(4);
  SharedImage image = ImageOf(0, "aaaaaa");
  const std::weak_ptr<const v1::GeneratedImage> held = image;
  queue.PushImage(std::move(image));
  queue.Pop();
  EXPECT_FALSE(held.expired());
  queue.Pop();
  EXPECT_TRUE(held.expired());
}

TEST(EventQueue, DoesNotMixChunksOfTwoImages) {
  EventQueue queue(4);
  queue.PushImage(ImageOf(0, "aaaaaa"));
  queue.PushImage(ImageOf(1, "bbbbbb"));
  std::string joined;
  while (const auto event = queue.Pop()) joined += event->image().data() + "|";
  EXPECT_EQ(joined, "aaaa|aa|bbbb|bb|");
}

TEST(EventQueue, StartsAfreshAfterClearInTheMiddleOfAnImage) {
  EventQueue queue(4);
  queue.PushImage(ImageOf(0, "aaaaaa"));
  queue.Pop();
  queue.Clear();
  queue.PushImage(ImageOf(1, "bbbbbb"));
  EXPECT_EQ(queue.Pop()->image().data(), "bbbb");
}

}  // namespace
}  // namespace kandinsky::server
