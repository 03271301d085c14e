#include "clients/cpp/image_client.h"

#include <gtest/gtest.h>

#include <thread>

#include "clients/cpp/rich_error.h"
#include "imaging/encoded_image.h"
#include "tests/clients/scripted_server.h"
#include "tests/server/test_server.h"

namespace kandinsky::client {
namespace {

using server::SmallRequest;
using server::TestServer;
using server::TestServerOptions;

TEST(ImageClientTest, StreamsEventsAndImages) {
  TestServer server;
  ImageClient client(server.channel());
  v1::GenerateRequest request = SmallRequest();
  request.set_seed(5);
  request.set_image_count(2);
  int started = 0;
  int progress = 0;
  std::vector<v1::GeneratedImage> images;
  GenerateCallbacks callbacks;
  callbacks.on_started = [&](const v1::StartedEvent&) { ++started; };
  callbacks.on_progress = [&](const v1::ProgressEvent&) { ++progress; };
  callbacks.on_image = [&](v1::GeneratedImage image) { images.push_back(std::move(image)); };
  const auto summary = client.Generate(request, callbacks);
  ASSERT_TRUE(summary.ok()) << summary.status();
  EXPECT_EQ(started, 1);
  EXPECT_GE(progress, 1);
  ASSERT_EQ(images.size(), 2u);
  EXPECT_EQ(DecodeImage(images[0].data())->pixels,
            FakePipeline::ExpectedImage(images[0].seed(), images[0].width(), images[0].height()).pixels);
  EXPECT_EQ(summary->seeds_size(), 2);
}

TEST(ImageClientTest, NeedsNoCallbacks) {
  TestServer server;
  ImageClient client(server.channel());
  EXPECT_TRUE(client.Generate(SmallRequest(), {}).ok());
}

TEST(ImageClientTest, JoinsThePartsOfLargeImages) {
  TestServerOptions options;
  options.pipeline.image_edge = 100;
  options.overrides = {"limits.image_chunk_bytes=1024"};
  TestServer server(options);
  ImageClient client(server.channel());
  v1::GenerateRequest request = SmallRequest();
  request.set_image_count(3);
  request.mutable_output()->set_format(v1::OUTPUT_FORMAT_RAW_RGB);
  int images = 0;
  GenerateCallbacks callbacks;
  callbacks.on_image = [&](const v1::GeneratedImage& image) {
    ++images;
    const Image expected = FakePipeline::ExpectedImage(image.seed(), 100, 100);
    EXPECT_EQ(image.data(), std::string(expected.pixels.begin(), expected.pixels.end()));
  };
  ASSERT_TRUE(client.Generate(request, callbacks).ok());
  EXPECT_EQ(images, 3);
}

TEST(ImageClientTest, DeliversResultsThatHaveNoBytes) {
  TestServer server;
  ImageClient client(server.channel());
  for (const v1::OutputFormat format : {v1::OUTPUT_FORMAT_LATENT, v1::OUTPUT_FORMAT_NONE}) {
    v1::GenerateRequest request = SmallRequest();
    request.mutable_output()->set_format(format);
    int images = 0;
    GenerateCallbacks callbacks;
    callbacks.on_image = [&](const v1::GeneratedImage& image) {
      ++images;
      EXPECT_EQ(image.has_latents(), format == v1::OUTPUT_FORMAT_LATENT);
    };
    ASSERT_TRUE(client.Generate(request, callbacks).ok());
    EXPECT_EQ(images, 1);
  }
}

TEST(ImageClientTest, MakesImagesInOneAnswer) {
  TestServer server;
  ImageClient client(server.channel());
  const auto response = client.GenerateImages(SmallRequest());
  ASSERT_TRUE(response.ok()) << response.status();
  EXPECT_EQ(response->images_size(), 1);
}

TEST(ImageClientTest, AnErrorNamesFieldAndRule) {
  TestServer server;
  ImageClient client(server.channel());
  v1::GenerateRequest request = SmallRequest();
  request.set_width(65);
  for (const absl::Status& status :
       {client.Generate(request, {}).status(), client.GenerateImages(request).status()}) {
    EXPECT_EQ(status.code(), absl::StatusCode::kInvalidArgument);
    EXPECT_NE(status.message().find("width: "), absl::string_view::npos) << status;
    ASSERT_EQ(DetailsOf(status).violations.size(), 1u);
    EXPECT_EQ(DetailsOf(status).violations[0].field, "width");
  }
}

TEST(ImageClientTest, CancelsARunningCall) {
  TestServerOptions options;
  options.gated = true;
  TestServer server(options);
  ImageClient client(server.channel());
  Cancellation cancellation;
  std::thread canceller([&] {
    server.gate().WaitForArrivals(1);
    cancellation.Cancel();
  });
  const auto summary = client.Generate(SmallRequest(), {}, {.cancellation = &cancellation});
  canceller.join();
  EXPECT_TRUE(absl::IsCancelled(summary.status()));
}

TEST(ImageClientTest, ACancelledCancellationEndsALaterCallAtOnce) {
  TestServerOptions options;
  options.gated = true;
  TestServer server(options);
  ImageClient client(server.channel());
  Cancellation cancellation;
  cancellation.Cancel();
  EXPECT_TRUE(cancellation.cancelled());
  EXPECT_TRUE(
      absl::IsCancelled(client.Generate(SmallRequest(), {}, {.cancellation = &cancellation}).status()));
  EXPECT_TRUE(
      absl::IsCancelled(client.GenerateImages(SmallRequest(), {.cancellation = &cancellation}).status()));
}

TEST(ImageClientTest, CancelsAGenerationById) {
  TestServerOptions options;
  options.gated = true;
  TestServer server(options);
  ImageClient client(server.channel());
  std::thread canceller([&] {
    server.gate().WaitForArrivals(1);
    EXPECT_TRUE(ImageClient(server.channel()).CancelGeneration("mine").ok());
  });
  v1::GenerateRequest request = SmallRequest();
  request.set_request_id("mine");
  EXPECT_TRUE(absl::IsCancelled(client.Generate(request, {}).status()));
  canceller.join();
  EXPECT_TRUE(absl::IsNotFound(client.CancelGeneration("mine")));
}

TEST(ImageClientTest, ATimeoutEndsTheCall) {
  TestServerOptions options;
  options.gated = true;
  TestServer server(options);
  ImageClient client(server.channel());
  const auto summary = client.Generate(SmallRequest(), {}, {.timeout = absl::Milliseconds(50)});
  EXPECT_TRUE(absl::IsDeadlineExceeded(summary.status()));
}

TEST(ImageClientTest, ConnectsByAddress) {
  TestServer server;
  EXPECT_TRUE(ImageClient::Connect(server.address()).Generate(SmallRequest(), {}).ok());
}

TEST(ImageClientTest, ADeadServerIsUnavailable) {
  std::string address;
  {
    const TestServer server;
    address = server.address();
  }
  EXPECT_TRUE(absl::IsUnavailable(ImageClient::Connect(address).Generate(SmallRequest(), {}).status()));
}

class EventStreamTest : public testing::Test {
 protected:
  absl::Status Generate(std::vector<v1::GenerateEvent> events) {
    ScriptedServer server({.events = std::move(events)});
    ImageClient client = ImageClient::Connect(server.address());
    GenerateCallbacks callbacks;
    callbacks.on_image = [this](v1::GeneratedImage image) { images_.push_back(std::move(image)); };
    callbacks.on_preview = [this](const v1::PreviewEvent& preview) { previews_.push_back(preview); };
    return client.Generate(SmallRequest(), callbacks).status();
  }

  static v1::GenerateEvent Part(int offset, const std::string& data, int total_bytes) {
    v1::GenerateEvent event;
    event.mutable_image()->set_data_offset(offset);
    event.mutable_image()->set_data(data);
    event.mutable_image()->set_total_bytes(total_bytes);
    return event;
  }

  static v1::GenerateEvent Completed() {
    v1::GenerateEvent event;
    event.mutable_completed();
    return event;
  }

  std::vector<v1::GeneratedImage> images_;
  std::vector<v1::PreviewEvent> previews_;
};

TEST_F(EventStreamTest, AWholeStreamIsOk) {
  EXPECT_TRUE(Generate({Part(0, "ab", 3), Part(2, "c", 3), Completed()}).ok());
}

TEST_F(EventStreamTest, JoinsThePartsOfLatentsToo) {
  std::vector<v1::GenerateEvent> events;
  for (const auto& [offset, data] : {std::pair(0, "abcd"), std::pair(4, "efgh")}) {
    v1::GeneratedImage& part = *events.emplace_back().mutable_image();
    part.set_total_bytes(8);
    part.set_data_offset(offset);
    part.mutable_latents()->add_shape(2);
    part.mutable_latents()->set_data(data);
  }
  events.push_back(Completed());
  ASSERT_TRUE(Generate(std::move(events)).ok());
  ASSERT_EQ(images_.size(), 1u);
  EXPECT_EQ(images_[0].latents().data(), "abcdefgh");
  ASSERT_EQ(images_[0].latents().shape_size(), 1);
  EXPECT_EQ(images_[0].latents().shape(0), 2);
}

TEST_F(EventStreamTest, HandsPreviewsOver) {
  v1::GenerateEvent event;
  event.mutable_preview()->set_step(7);
  ASSERT_TRUE(Generate({event, Completed()}).ok());
  ASSERT_EQ(previews_.size(), 1u);
  EXPECT_EQ(previews_[0].step(), 7);
}

TEST_F(EventStreamTest, SkipsKindsItDoesNotKnow) {
  EXPECT_TRUE(Generate({v1::GenerateEvent(), Completed()}).ok());
}

TEST_F(EventStreamTest, MissingOrSurplusPartsAreDataLoss) {
  EXPECT_TRUE(absl::IsDataLoss(Generate({Part(0, "a", 3), Part(2, "c", 3), Completed()})));
  EXPECT_TRUE(absl::IsDataLoss(Generate({Part(0, "abcd", 3), Completed()})));
  EXPECT_TRUE(absl::IsDataLoss(Generate({Part(0, "ab", 3), Completed()})));
}

TEST_F(EventStreamTest, AStreamWithoutItsLastEventIsDataLoss) {
  EXPECT_TRUE(absl::IsDataLoss(Generate({Part(0, "a", 1)})));
}

}  // namespace
}  // namespace kandinsky::client
