#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cstring>
#include <map>
#include <thread>

#include "imaging/encoded_image.h"
#include "tests/server/test_server.h"

namespace kandinsky::server {
namespace {

using testing::ElementsAre;
using testing::SizeIs;
using Kind = v1::GenerateEvent::EventCase;

// The worker has dropped what was ended from outside: its last step is in the log.
constexpr char kWorkerIsFree[] = "kandinsky_inflight_generations 0";

std::vector<Kind> KindsOf(const std::vector<v1::GenerateEvent>& events) {
  std::vector<Kind> kinds;
  for (const auto& event : events) {
    if (kinds.empty() || kinds.back() != event.event_case()) kinds.push_back(event.event_case());
  }
  return kinds;
}

TEST(Generate, StreamsQueuedStartedProgressImageCompletedInThisOrder) {
  TestServer server;
  const auto [events, status, pushback] = Stream(server, SmallRequest());
  ASSERT_TRUE(status.ok()) << status.error_message();
  EXPECT_THAT(KindsOf(events),
              ElementsAre(Kind::kQueued, Kind::kStarted, Kind::kProgress, Kind::kImage, Kind::kCompleted));
}

TEST(Generate, DeliversThePngOfTheSeed) {
  TestServer server;
  const auto events = Stream(server, SmallRequest()).events;
  const v1::GeneratedImage& image = events[events.size() - 2].image();
  EXPECT_EQ(image.mime_type(), "image/png");
  EXPECT_EQ(image.format(), v1::OUTPUT_FORMAT_PNG);
  EXPECT_EQ(image.seed(), 7u);
  EXPECT_EQ(image.total_bytes(), static_cast<int>(image.data().size()));
  const auto decoded = DecodeImage(image.data());
  ASSERT_TRUE(decoded.ok()) << decoded.status();
  EXPECT_EQ(decoded->pixels, FakePipeline::ExpectedImage(7, 8, 8).pixels);
}

TEST(Generate, SummarizesTimingsSeedsAndBatches) {
  TestServer server;
  v1::GenerateRequest request = SmallRequest();
  request.set_request_id("my-request");
  request.set_image_count(2);
  const auto events = Stream(server, request).events;
  EXPECT_EQ(events.front().queued().request_id(), "my-request");
  const v1::GenerationSummary& summary = events.back().completed();
  EXPECT_EQ(summary.request_id(), "my-request");
  EXPECT_EQ(summary.model(), "fake");
  EXPECT_THAT(summary.seeds(), ElementsAre(7, 8));
  EXPECT_EQ(summary.timings().stages_size(), 4);
  EXPECT_EQ(summary.timings().stages(2).stage(), v1::STAGE_DENOISE);
  EXPECT_TRUE(summary.timings().has_total());
  EXPECT_EQ(summary.batch().max_rows(), 2);
  EXPECT_EQ(summary.batch().steps(), 1 + 3 + 4 + 1);
  EXPECT_EQ(summary.truncations_size(), 0);
}

TEST(Generate, ReportsTruncatedPrompts) {
  TestServer server;
  std::string prompt = "word";
  for (int i = 1; i < 100; ++i) prompt += " word";
  const auto events = Stream(server, SmallRequest(prompt)).events;
  ASSERT_EQ(events.back().completed().truncations_size(), 1);
  const v1::PromptTruncation& truncation = events.back().completed().truncations(0);
  EXPECT_EQ(truncation.field(), "prompt");
  EXPECT_EQ(truncation.tokens(), 102);
  EXPECT_EQ(truncation.kept_tokens(), 77);
}

TEST(Generate, RefusesAStrictPromptThatWouldBeCut) {
  TestServer server;
  std::string prompt = "word";
  for (int i = 1; i < 100; ++i) prompt += " word";
  v1::GenerateRequest request = SmallRequest(prompt);
  request.set_strict_prompt(true);
  const grpc::Status status = Stream(server, request).status;
  EXPECT_EQ(status.error_code(), grpc::StatusCode::INVALID_ARGUMENT);
  EXPECT_EQ(Detail<google::rpc::ErrorInfo>(status).reason(), "INVALID_REQUEST");
  const auto violation = Detail<google::rpc::BadRequest>(status).field_violations(0);
  EXPECT_EQ(violation.field(), "prompt");
  EXPECT_EQ(violation.description(), "has 102 tokens, the model sees only 77");
  EXPECT_TRUE(server.log().steps().empty());
}

TEST(Generate, CutsALargeImageIntoMessagesOfAtMostOneMebibyte) {
  TestServerOptions options;
  options.pipeline.image_edge = 0;  // as large as requested
  TestServer server(options);
  v1::GenerateRequest request = SmallRequest();
  request.set_width(1024);
  request.set_height(1024);
  request.mutable_output()->set_format(v1::OUTPUT_FORMAT_RAW_RGB);
  const auto [events, status, pushback] = Stream(server, request);
  ASSERT_TRUE(status.ok()) << status.error_message();
  std::string joined;
  int chunks = 0;
  for (const auto& event : events) {
    if (!event.has_image()) continue;
    EXPECT_LE(event.image().data().size(), 1u << 20);
    EXPECT_EQ(event.image().data_offset(), static_cast<int>(joined.size()));
    joined += event.image().data();
    ++chunks;
  }
  EXPECT_EQ(chunks, 3);
  const Image expected = FakePipeline::ExpectedImage(7, 1024, 1024);
  EXPECT_TRUE(joined == std::string(expected.pixels.begin(), expected.pixels.end()));
}

TEST(Generate, SendsLatentsAsLittleEndianFloats) {
  TestServer server;
  v1::GenerateRequest request = SmallRequest();
  request.mutable_output()->set_format(v1::OUTPUT_FORMAT_LATENT);
  const auto events = Stream(server, request).events;
  const v1::GeneratedImage& image = events[events.size() - 2].image();
  EXPECT_THAT(image.latents().shape(), ElementsAre(4, 8, 8));
  ASSERT_EQ(image.latents().data().size(), 4u * 8 * 8 * sizeof(float));
  EXPECT_EQ(image.latents().data().substr(0, 4), std::string("\x00\x00\xE0\x40", 4));  // 7.0f
  EXPECT_EQ(image.width(), 64);
}

TEST(Generate, SendsNoPixelsForMetadataOnly) {
  TestServer server;
  v1::GenerateRequest request = SmallRequest();
  request.mutable_output()->set_format(v1::OUTPUT_FORMAT_NONE);
  const auto events = Stream(server, request).events;
  const v1::GeneratedImage& image = events[events.size() - 2].image();
  EXPECT_EQ(image.payload_case(), v1::GeneratedImage::PAYLOAD_NOT_SET);
  EXPECT_EQ(image.seed(), 7u);
}

TEST(Generate, CutsLargeLatentsAndSendsTheirShapeWithEachPart) {
  TestServer server({.overrides = {"limits.image_chunk_bytes=1024"}});
  v1::GenerateRequest request = SmallRequest();
  request.set_width(128);
  request.mutable_output()->set_format(v1::OUTPUT_FORMAT_LATENT);
  const auto [events, status, pushback] = Stream(server, request);
  ASSERT_TRUE(status.ok());
  size_t bytes = 0;
  for (const auto& event : events) {
    if (!event.has_image()) continue;
    EXPECT_EQ(event.image().data_offset(), static_cast<int>(bytes));
    EXPECT_EQ(event.image().total_bytes(), 4 * 8 * 16 * 4);
    EXPECT_THAT(event.image().latents().shape(), ElementsAre(4, 8, 16));
    EXPECT_LE(event.image().latents().data().size(), 1024u);
    bytes += event.image().latents().data().size();
  }
  EXPECT_EQ(bytes, 4u * 8 * 16 * 4);
}

TEST(Generate, SendsPreviewsAsSmallPngs) {
  TestServer server({.gated = true});
  v1::GenerateRequest request = SmallRequest();
  request.mutable_preview()->set_every_steps(2);
  OpenStream call(server.stub(), request);
  server.gate().Allow(1 + 3 + 2);  // up to the second denoising step
  const v1::PreviewEvent preview = call.WaitFor(Kind::kPreview).preview();
  EXPECT_EQ(preview.image_index(), 0);
  EXPECT_EQ(preview.step(), 2);
  EXPECT_EQ(preview.mime_type(), "image/png");
  const auto decoded = DecodeImage(preview.data());
  ASSERT_TRUE(decoded.ok()) << decoded.status();
  EXPECT_EQ(decoded->width, preview.width());
  EXPECT_EQ(decoded->height, preview.height());
  server.gate().Open();
  EXPECT_TRUE(call.End().status.ok());
}

TEST(Generate, SaysWhyStepsWereNotShared) {
  TestServer server;
  const auto events = Stream(server, SmallRequest()).events;
  const auto& not_merged = events.back().completed().batch().not_merged();
  ASSERT_EQ(not_merged.size(), 1);
  EXPECT_EQ(not_merged[0].reason(), "alone");
  EXPECT_EQ(not_merged[0].steps(), 1 + 3 + 4 + 1);
}

TEST(Generate, EstimatesWaitAndWorkOfACheckedRequestOnceStepsWereMeasured) {
  TestServer server;
  v1::GenerateRequest check = SmallRequest();
  check.set_validate_only(true);
  EXPECT_FALSE(Stream(server, check).events[0].completed().has_estimated_work());
  ASSERT_TRUE(Stream(server, SmallRequest()).status.ok());
  EXPECT_TRUE(Stream(server, check).events[0].completed().has_estimated_work());
  EXPECT_FALSE(Stream(server, check).events[0].completed().has_estimated_wait());  // a worker has room
}

TEST(Generate, DropsProgressButNoImageForASlowReader) {
  TestServer server;
  grpc::ChannelArguments arguments;
  arguments.SetInt(GRPC_ARG_HTTP2_STREAM_LOOKAHEAD_BYTES, 1024);
  arguments.SetInt(GRPC_ARG_HTTP2_BDP_PROBE, 0);
  const auto stub = v1::ImageGenerationService::NewStub(server.NewChannel(arguments));
  v1::GenerateRequest request = SmallRequest();
  request.set_steps(1000);
  request.set_prior_steps(1000);
  request.set_image_count(8);
  grpc::ClientContext context;
  const auto reader = stub->Generate(&context, request);
  server.WaitForMetric("kandinsky_images_total{format=\"png\"} 8");  // nothing was read until then
  std::map<int, int> images;
  int progress = 0;
  const auto events = ReadAll(*reader);
  for (const auto& event : events) {
    progress += event.has_progress() ? 1 : 0;
    if (event.has_image()) ++images[event.image().index()];
  }
  EXPECT_TRUE(reader->Finish().ok());
  EXPECT_THAT(images, SizeIs(8));
  EXPECT_TRUE(events.back().has_completed());
  EXPECT_LT(progress, 8 * 2002 / 2);
}

TEST(Generate, StopsWithinOneStepWhenTheClientCancels) {
  TestServer server({.gated = true});
  grpc::ClientContext context;
  const auto reader = server.stub().Generate(&context, SmallRequest());
  server.gate().Allow(2);
  server.gate().WaitForArrivals(3);
  context.TryCancel();
  server.WaitForMetric(
      "kandinsky_requests_total{code=\"CANCELLED\",method=\"Generate\",reason=\"CANCELLED_BY_CLIENT\"} 1");
  server.gate().Open();
  ReadAll(*reader);
  EXPECT_EQ(reader->Finish().error_code(), grpc::StatusCode::CANCELLED);
  server.server().Drain();
  server.WaitForMetric(kWorkerIsFree);
  EXPECT_LE(server.log().StepsOf("a red cat"), 3);
}

TEST(Generate, StopsWithinOneStepWhenAnotherConnectionCancelsIt) {
  TestServer server({.gated = true});
  v1::GenerateRequest request = SmallRequest();
  request.set_request_id("victim");
  grpc::ClientContext context;
  const auto reader = server.stub().Generate(&context, request);
  server.gate().WaitForArrivals(1);
  const auto other = v1::ImageGenerationService::NewStub(server.NewChannel());
  v1::CancelGenerationRequest cancel;
  cancel.set_id("victim");
  v1::CancelGenerationResponse response;
  grpc::ClientContext cancel_context;
  EXPECT_TRUE(other->CancelGeneration(&cancel_context, cancel, &response).ok());
  server.gate().Open();
  ReadAll(*reader);
  const grpc::Status status = reader->Finish();
  EXPECT_EQ(status.error_code(), grpc::StatusCode::CANCELLED);
  EXPECT_EQ(Detail<google::rpc::ErrorInfo>(status).reason(), "CANCELLED_BY_CLIENT");
  server.server().Drain();
  server.WaitForMetric(kWorkerIsFree);
  EXPECT_EQ(server.log().StepsOf("a red cat"), 1);
}

TEST(Generate, LeavesNothingAliveWhenTheConnectionBreaks) {
  TestServer server({.gated = true});
  {
    auto channel = server.NewChannel();
    const auto stub = v1::ImageGenerationService::NewStub(channel);
    grpc::ClientContext context;
    const auto reader = stub->Generate(&context, SmallRequest());
    server.gate().WaitForArrivals(1);
    context.TryCancel();
    ReadAll(*reader);
    reader->Finish();
  }
  server.WaitForMetric("kandinsky_inflight_requests 0");
  server.gate().Open();
  server.WaitForMetric("kandinsky_inflight_calls 0");
  server.WaitForMetric("kandinsky_inflight_generations 0");
  EXPECT_TRUE(Stream(server, SmallRequest("next")).status.ok());
}

TEST(Generate, EndsAtTheDefaultDeadlineOfTheServer) {
  TestServer server({.overrides = {"limits.default_deadline_seconds=0.05"}, .gated = true});
  const grpc::Status status = Stream(server, SmallRequest()).status;
  EXPECT_EQ(status.error_code(), grpc::StatusCode::DEADLINE_EXCEEDED);
  const auto info = Detail<google::rpc::ErrorInfo>(status);
  EXPECT_EQ(info.reason(), "DEADLINE_EXCEEDED");
  EXPECT_EQ(info.metadata().at("phase"), "running");
  server.gate().Open();
}

TEST(Generate, ShortensADeadlineThatIsTooLong) {
  TestServer server(
      {.overrides = {"limits.default_deadline_seconds=0.05", "limits.max_deadline_seconds=0.05"},
       .gated = true});
  grpc::ClientContext context;
  context.set_deadline(std::chrono::system_clock::now() + std::chrono::hours(1));
  const auto reader = server.stub().Generate(&context, SmallRequest());
  ReadAll(*reader);
  EXPECT_EQ(reader->Finish().error_code(), grpc::StatusCode::DEADLINE_EXCEEDED);
  server.gate().Open();
}

TEST(Generate, StopsTheWorkWhenTheClientsDeadlinePasses) {
  TestServer server({.gated = true});
  grpc::ClientContext context;
  // Long enough for the call to reach the server on a busy machine, or there would be nothing to see there.
  context.set_deadline(std::chrono::system_clock::now() + std::chrono::seconds(2));
  const auto reader = server.stub().Generate(&context, SmallRequest());
  ReadAll(*reader);
  EXPECT_EQ(reader->Finish().error_code(), grpc::StatusCode::DEADLINE_EXCEEDED);
  server.WaitForMetric(
      "kandinsky_requests_total{code=\"DEADLINE_EXCEEDED\",method=\"Generate\",reason=\""
      "DEADLINE_EXCEEDED\"} 1");
  server.gate().Open();
  server.server().Drain();
  server.WaitForMetric(kWorkerIsFree);
  EXPECT_LE(server.log().StepsOf("a red cat"), 1);
}

TEST(Generate, RunsNothingForValidateOnly) {
  TestServer server;
  v1::GenerateRequest request = SmallRequest();
  request.set_validate_only(true);
  request.set_image_count(2);
  const auto [events, status, pushback] = Stream(server, request);
  ASSERT_TRUE(status.ok());
  ASSERT_THAT(events, SizeIs(1));
  EXPECT_THAT(events[0].completed().seeds(), ElementsAre(7, 8));
  EXPECT_FALSE(events[0].completed().has_timings());
  EXPECT_EQ(server.log().admitted(), 0);
}

TEST(Generate, DrawsAndReportsSeedAndRequestId) {
  TestServer server;
  v1::GenerateRequest request = SmallRequest();
  request.clear_seed();
  const auto first = Stream(server, request).events;
  const uint64_t seed = first.back().completed().seeds(0);
  EXPECT_LE(seed, 0xFFFFFFFFu);
  EXPECT_FALSE(first.back().completed().request_id().empty());
  EXPECT_EQ(first.front().queued().request_id(), first.back().completed().request_id());
  request.set_seed(seed);
  const auto again = Stream(server, request).events;
  EXPECT_EQ(again[again.size() - 2].image().data(), first[first.size() - 2].image().data());
}

TEST(GenerateImages, ReturnsEveryImageByIndexAndTheSummary) {
  TestServer server({.overrides = {"codec_threads=4"}});
  v1::GenerateRequest request = SmallRequest();
  request.set_image_count(5);
  grpc::ClientContext context;
  v1::GenerateImagesResponse response;
  ASSERT_TRUE(server.stub().GenerateImages(&context, request, &response).ok());
  ASSERT_EQ(response.images_size(), 5);
  for (int i = 0; i < 5; ++i) {
    EXPECT_EQ(response.images(i).index(), i);
    EXPECT_EQ(response.images(i).seed(), static_cast<uint64_t>(7 + i));
    EXPECT_EQ(DecodeImage(response.images(i).data())->pixels,
              FakePipeline::ExpectedImage(static_cast<uint64_t>(7 + i), 8, 8).pixels);
  }
  EXPECT_THAT(response.summary().seeds(), ElementsAre(7, 8, 9, 10, 11));
  EXPECT_TRUE(response.summary().has_timings());
}

TEST(GenerateImages, StopsWhenTheClientCancels) {
  TestServer server({.gated = true});
  grpc::ClientContext context;
  v1::GenerateImagesResponse response;
  grpc::Status status;
  std::thread caller([&] { status = server.stub().GenerateImages(&context, SmallRequest(), &response); });
  server.gate().WaitForArrivals(1);
  context.TryCancel();
  caller.join();
  EXPECT_EQ(status.error_code(), grpc::StatusCode::CANCELLED);
  server.WaitForMetric(
      "kandinsky_requests_total{code=\"CANCELLED\",method=\"GenerateImages\",reason=\""
      "CANCELLED_BY_CLIENT\"} 1");
  server.gate().Open();
  server.server().Drain();
  server.WaitForMetric(kWorkerIsFree);
  EXPECT_EQ(server.log().StepsOf("a red cat"), 1);
}

TEST(GenerateImages, BatchesConcurrentCallsWithoutMixingThem) {
  TestServer server;
  constexpr int kCalls = 16;
  std::vector<std::thread> callers;
  std::vector<v1::GenerateImagesResponse> responses(kCalls);
  for (int i = 0; i < kCalls; ++i) {
    callers.emplace_back([&, i] {
      v1::GenerateRequest request = SmallRequest();
      request.set_seed(static_cast<uint64_t>(100 + i));
      grpc::ClientContext context;
      EXPECT_TRUE(server.stub().GenerateImages(&context, request, &responses[static_cast<size_t>(i)]).ok());
    });
  }
  for (std::thread& caller : callers) caller.join();
  for (int i = 0; i < kCalls; ++i) {
    const auto& response = responses[static_cast<size_t>(i)];
    ASSERT_EQ(response.images_size(), 1);
    EXPECT_EQ(DecodeImage(response.images(0).data())->pixels,
              FakePipeline::ExpectedImage(static_cast<uint64_t>(100 + i), 8, 8).pixels);
  }
}

}  // namespace
}  // namespace kandinsky::server
