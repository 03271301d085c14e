#include <gmock/gmock.h>
#include <grpcpp/support/status.h>
#include <gtest/gtest.h>
#include <sys/resource.h>

#include <nlohmann/json.hpp>

#include "absl/strings/match.h"
#include "imaging/depth_map.h"
#include "imaging/encoded_image.h"
#include "imaging/resize.h"
#include "imaging/webp.h"
#include "tests/server/test_images.h"
#include "tests/server/test_server.h"

namespace kandinsky::server {
namespace {

using testing::Each;
using testing::ElementsAre;
using testing::HasSubstr;
using testing::SizeIs;

constexpr int kDim = 8;

TestServerOptions AnyTask() {
  TestServerOptions options;
  options.pipeline.capabilities.networks = {"decoder", "inpaint", "controlnet_depth"};
  options.pipeline.capabilities.embedding_dim = kDim;
  options.pipeline.capabilities.clip_image_size = 16;
  return options;
}

// What the pipeline was given for a request, which must end well.
GenerationRequest Delivered(TestServer& server, const v1::GenerateRequest& request) {
  const StreamOutcome outcome = Stream(server, request);
  EXPECT_TRUE(outcome.status.ok()) << outcome.status.error_message();
  EXPECT_FALSE(outcome.ImageData().empty());
  const std::vector<GenerationRequest> requests = server.log().requests();
  return requests.empty() ? GenerationRequest() : requests.back();
}

// An image in which no two pixels are alike.
Image Gradient(int width, int height) {
  Image image = PlainImage(width, height);
  for (size_t i = 0; i < image.pixels.size(); ++i) image.pixels[i] = static_cast<uint8_t>(i * 7 % 255);
  return image;
}

// The most memory that this process ever held.
int64_t PeakResidentBytes() {
  rusage usage{};
  getrusage(RUSAGE_SELF, &usage);
  return int64_t{usage.ru_maxrss} * 1024;
}

std::string Reason(const grpc::Status& status) { return Detail<google::rpc::ErrorInfo>(status).reason(); }

std::string FirstWrongField(const grpc::Status& status) {
  const auto bad_request = Detail<google::rpc::BadRequest>(status);
  return bad_request.field_violations_size() == 0 ? "" : bad_request.field_violations(0).field();
}

TEST(Tasks, ImageToImageGetsTheImageInTheSizeOfTheRequest) {
  TestServer server(AnyTask());
  v1::GenerateRequest request = SmallRequest();
  const Image image = Gradient(150, 100);
  request.mutable_image_to_image()->set_image(PngOf(image));
  request.mutable_image_to_image()->set_strength(0.5);
  const GenerationRequest native = Delivered(server, request);
  const InitImage& init = std::get<ImageToImage>(native.task).init;
  EXPECT_EQ(init.strength, 0.5);
  EXPECT_EQ(init.image->pixels, Resize(image, 64, 64, {.reducing_gap = true})->pixels);
}

TEST(Tasks, ImagesOfOneRequestShareTheDecodedImage) {
  TestServer server(AnyTask());
  v1::GenerateRequest request = SmallRequest();
  request.mutable_image_to_image()->set_image(PlainPng(10, 10));
  request.mutable_image_to_image()->set_strength(1);
  request.set_image_count(3);
  Delivered(server, request);
  const std::vector<GenerationRequest> requests = server.log().requests();
  ASSERT_THAT(requests, SizeIs(3));
  for (const GenerationRequest& native : requests) {
    EXPECT_EQ(std::get<ImageToImage>(native.task).init.image,
              std::get<ImageToImage>(requests[0].task).init.image);
  }
}

TEST(Tasks, TakeEveryFormat) {
  TestServer server(AnyTask());
  const Image image = PlainImage(64, 64, 200);
  for (const std::string& bytes : {PngOf(image), JpegOf(image), WebpOf(image)}) {
    v1::GenerateRequest request = SmallRequest();
    request.mutable_image_to_image()->set_image(bytes);
    const GenerationRequest native = Delivered(server, request);
    EXPECT_THAT(std::get<ImageToImage>(native.task).init.image->pixels, Each(200));
  }
}

TEST(Tasks, InpaintGetsImageAndMaskByTheirPolarity) {
  TestServer server(AnyTask());
  v1::GenerateRequest request = SmallRequest();
  v1::Inpaint& inpaint = *request.mutable_inpaint();
  inpaint.set_image(PlainPng(30, 20, 50));
  for (const uint8_t value : {0, 255}) {
    inpaint.set_mask(PlainPng(30, 20, value, 1));
    inpaint.set_mask_polarity(v1::MASK_POLARITY_WHITE_REPAINTS);
    const GenerationRequest repaints = Delivered(server, request);
    EXPECT_EQ(std::get<Inpaint>(repaints.task).image->width, 64);
    EXPECT_EQ(std::get<Inpaint>(repaints.task).mask->channels, 1);
    EXPECT_THAT(std::get<Inpaint>(repaints.task).mask->pixels, Each(value));
    inpaint.set_mask_polarity(v1::MASK_POLARITY_WHITE_KEEPS);
    const GenerationRequest keeps = Delivered(server, request);
    EXPECT_THAT(std::get<Inpaint>(keeps.task).mask->pixels, Each(255 - value));
  }
}

// An image of the colors 0 and 255, and of both again where it is transparent, and half transparent.
Image PartlyClear(int width, int height) {
  Image image{width, height, 4, {}};
  for (int i = 0; i < width * height; ++i) {
    const auto color = static_cast<uint8_t>(i % 2 == 0 ? 0 : 255);
    const auto alpha = static_cast<uint8_t>(i % 6 < 2 ? 255 : (i % 6 < 4 ? 0 : 128));
    image.pixels.insert(image.pixels.end(), {color, color, color, alpha});
  }
  return image;
}

TEST(Tasks, WhatIsTransparentInAMaskIsNotPaintedInAnyPolarityOrMode) {
  TestServer server(AnyTask());
  v1::GenerateRequest request = SmallRequest();
  v1::Inpaint& inpaint = *request.mutable_inpaint();
  inpaint.set_image(PlainPng(64, 64, 50));
  const Image image = PartlyClear(64, 64);
  for (const v1::MaskMode mode : {v1::MASK_MODE_BINARY, v1::MASK_MODE_SOFT}) {
    inpaint.set_mask_mode(mode);
    for (const std::string& file : {PngOf(image), *EncodeWebp(image, 100)}) {
      inpaint.set_mask(file);
      for (const bool keeps_white : {false, true}) {
        inpaint.set_mask_polarity(keeps_white ? v1::MASK_POLARITY_WHITE_KEEPS
                                              : v1::MASK_POLARITY_WHITE_REPAINTS);
        const Image mask = *std::get<Inpaint>(Delivered(server, request).task).mask;
        for (size_t i = 0; i < mask.pixels.size(); ++i) {
          const bool painted = (i % 2 == 1) != keeps_white;
          const int expected = !painted || i % 6 / 2 == 1 ? 0 : (i % 6 / 2 == 0 ? 255 : 128);
          ASSERT_EQ(mask.pixels[i], expected) << i << " " << keeps_white;
        }
      }
    }
  }
}

TEST(Tasks, WhatIsTransparentInADepthMapIsFar) {
  TestServer server(AnyTask());
  v1::GenerateRequest request = SmallRequest();
  request.mutable_control_net()->set_depth_image(PngOf(PartlyClear(64, 64)));
  const SharedFloatTensor hint = std::get<ControlNet>(Delivered(server, request).task).hint;
  for (size_t i = 0; i < hint->values.size(); ++i) {
    const size_t pixel = i % (64 * 64);
    const float near = pixel % 6 / 2 == 0 ? 1 : 128 / 255.0f;
    ASSERT_EQ(hint->values[i], pixel % 2 == 0 || pixel % 6 / 2 == 1 ? 0 : near) << i;
  }
}

TEST(Tasks, MixGetsItsImagesAsClipSeesThem) {
  TestServer server(AnyTask());
  v1::GenerateRequest request = SmallRequest();
  request.clear_prompt();
  request.mutable_mix()->add_parts()->set_text("a cat");
  const Image image = Gradient(50, 40);
  request.mutable_mix()->add_parts()->set_image(PngOf(image));
  *request.mutable_mix()->add_parts()->mutable_embedding() = PlainEmbedding(kDim, 2);
  const GenerationRequest native = Delivered(server, request);
  const Mix& mix = *native.mix;
  EXPECT_EQ(std::get<InputImage>(mix.parts[1].content)->pixels, CropForClip(image, 16)->pixels);
  EXPECT_THAT(std::get<ImageEmbedding>(mix.parts[2].content)->values, Each(2));
}

TEST(Tasks, AMixtureGoesWithEveryStart) {
  TestServer server(AnyTask());
  const Image part = Gradient(50, 40);
  v1::GenerateRequest mixed = SmallRequest();
  mixed.clear_prompt();
  mixed.mutable_mix()->add_parts()->set_text("a cat");
  mixed.mutable_mix()->add_parts()->set_image(PngOf(part));
  std::vector<v1::GenerateRequest> requests(4, mixed);
  requests[1].mutable_image_to_image()->set_image(PlainPng(9, 9, 50));
  requests[1].mutable_image_to_image()->set_strength(1);
  requests[2].mutable_inpaint()->set_image(PlainPng(9, 9, 50));
  requests[2].mutable_inpaint()->set_mask(PlainPng(9, 9, 255, 1));
  requests[3].mutable_control_net()->set_depth_image(PlainPng(64, 64, 51, 1));
  std::vector<std::string> tasks;
  for (const v1::GenerateRequest& request : requests) {
    const GenerationRequest native = Delivered(server, request);
    tasks.emplace_back(TaskName(native.task));
    ASSERT_TRUE(native.mix.has_value());
    EXPECT_EQ(std::get<std::string>(native.mix->parts[0].content), "a cat");
    EXPECT_EQ(std::get<InputImage>(native.mix->parts[1].content)->pixels, CropForClip(part, 16)->pixels);
    if (const auto* change = std::get_if<ImageToImage>(&native.task)) {
      EXPECT_THAT(change->init.image->pixels, Each(50)) << "not the part's";
    }
  }
  EXPECT_THAT(tasks, ElementsAre("text_to_image", "image_to_image", "inpaint", "control_net"));
}

TEST(Tasks, ImagesAreSqueezedForAModelWhoseProcessorSaysSo) {
  TestServerOptions options = AnyTask();
  options.pipeline.capabilities.clip_squeezes = true;
  TestServer server(options);
  v1::GenerateRequest request = SmallRequest();
  request.clear_prompt();
  const Image image = Gradient(50, 20);
  request.mutable_mix()->add_parts()->set_image(PngOf(image));
  const GenerationRequest native = Delivered(server, request);
  EXPECT_EQ(std::get<InputImage>(native.mix->parts[0].content)->pixels, Resize(image, 16, 16)->pixels);
}

TEST(Tasks, ControlNetGetsThreeChannelsOfDepth) {
  TestServer server(AnyTask());
  v1::GenerateRequest request = SmallRequest();
  request.mutable_control_net()->set_depth_image(PlainPng(64, 64, 51, 1));
  GenerationRequest native = Delivered(server, request);
  const std::vector<int64_t> shape = {3, 64, 64};
  EXPECT_EQ(std::get<ControlNet>(native.task).hint->shape, shape);
  EXPECT_THAT(std::get<ControlNet>(native.task).hint->values, Each(51 / 255.0f));
  EXPECT_FALSE(std::get<ControlNet>(native.task).init.has_value());
  *request.mutable_control_net()->mutable_depth() = PlainTensor({64, 64}, 0.25f);
  request.mutable_control_net()->set_image(PlainPng(9, 9));
  request.mutable_control_net()->set_strength(1);
  native = Delivered(server, request);
  EXPECT_EQ(std::get<ControlNet>(native.task).hint->shape, shape);
  EXPECT_THAT(std::get<ControlNet>(native.task).hint->values, SizeIs(3 * 64 * 64));
  EXPECT_THAT(std::get<ControlNet>(native.task).hint->values, Each(0.25f));
  EXPECT_EQ(std::get<ControlNet>(native.task).init->image->width, 64);
}

TEST(Tasks, ADepthImageBecomesEightTimesAsWideAsTheLatents) {
  TestServerOptions options = AnyTask();
  options.pipeline.capabilities.latent_scale = 4;
  TestServer server(options);
  v1::GenerateRequest request = SmallRequest();
  for (const int size : {64, 128}) {
    Image image = PlainImage(size, size, 0, /*channels=*/1);
    for (size_t i = 0; i < image.pixels.size(); ++i) image.pixels[i] = static_cast<uint8_t>(i * 7 % 255);
    request.mutable_control_net()->set_depth_image(PngOf(image));
    const GenerationRequest native = Delivered(server, request);
    const FloatTensor& hint = *std::get<ControlNet>(native.task).hint;
    EXPECT_THAT(hint.shape, ElementsAre(3, 128, 128));
    const std::vector<float> expected = ResizeDepth(*DecodeDepth(PngOf(image)), 128, 128)->values;
    ASSERT_THAT(hint.values, SizeIs(3 * expected.size()));
    for (size_t i = 0; i < hint.values.size(); ++i) {
      ASSERT_EQ(hint.values[i], expected[i % expected.size()]) << size;
    }
  }
  *request.mutable_control_net()->mutable_depth() = PlainTensor({128, 128}, 0.25f);
  EXPECT_THAT(std::get<ControlNet>(Delivered(server, request).task).hint->shape, ElementsAre(3, 128, 128));
}

TEST(Tasks, AnImageEmbeddingSkipsThePrior) {
  TestServer server(AnyTask());
  v1::GenerateRequest request = SmallRequest();
  request.clear_prompt();
  *request.mutable_image_embedding() = PlainEmbedding(kDim, 0.5f);
  Delivered(server, request);
  for (const FakeStep& step : server.log().steps()) EXPECT_NE(step.key.stage, Stage::kPrior);
}

TEST(Tasks, APriorStartEmbedsItsImage) {
  TestServer server(AnyTask());
  v1::GenerateRequest request = SmallRequest();
  request.mutable_prior_start()->set_image(PlainPng(40, 40, 9));
  request.mutable_prior_start()->set_strength(1);
  const GenerationRequest native = Delivered(server, request);
  EXPECT_THAT(std::get<InputImage>(native.prior_start->from)->pixels, Each(9));
}

TEST(Tasks, ThatTheModelDoesNotOfferAreAFailedPrecondition) {
  TestServerOptions options = AnyTask();
  options.pipeline.capabilities.networks = {"decoder"};
  TestServer server(options);
  v1::GenerateRequest request = SmallRequest();
  request.mutable_inpaint()->set_image(PlainPng(8, 8));
  request.mutable_inpaint()->set_mask(PlainPng(8, 8));
  grpc::Status status = Stream(server, request).status;
  EXPECT_EQ(status.error_code(), grpc::StatusCode::FAILED_PRECONDITION);
  EXPECT_EQ(Reason(status), "NOT_OFFERED_BY_MODEL");
  const auto failure = Detail<google::rpc::PreconditionFailure>(status);
  ASSERT_EQ(failure.violations_size(), 1);
  EXPECT_EQ(failure.violations(0).type(), "TASK");
  EXPECT_EQ(failure.violations(0).subject(), "inpaint");
  request.set_steps(0);
  status = Stream(server, request).status;
  EXPECT_EQ(status.error_code(), grpc::StatusCode::INVALID_ARGUMENT) << "the request comes before the model";
}

TEST(Tasks, AnswerInJpegAndWebp) {
  TestServer server(AnyTask());
  const std::tuple<v1::OutputFormat, const char*, ImageFormat> formats[] = {
      {v1::OUTPUT_FORMAT_JPEG, "image/jpeg", ImageFormat::kJpeg},
      {v1::OUTPUT_FORMAT_WEBP, "image/webp", ImageFormat::kWebp}};
  for (const auto& [format, mime_type, file] : formats) {
    v1::GenerateRequest request = SmallRequest();
    request.mutable_output()->set_format(format);
    request.mutable_output()->set_quality(100);
    const StreamOutcome outcome = Stream(server, request);
    ASSERT_TRUE(outcome.status.ok()) << outcome.status.error_message();
    const v1::GeneratedImage& image = outcome.events[outcome.events.size() - 2].image();
    EXPECT_EQ(image.mime_type(), mime_type);
    EXPECT_EQ(image.format(), format);
    const auto info = ProbeImage(image.data());
    ASSERT_TRUE(info.ok()) << info.status();
    EXPECT_EQ(info->format, file);
  }
  EXPECT_THAT(server.server().MetricsText(), HasSubstr("kandinsky_images_total{format=\"jpeg\"} 1"));
  EXPECT_THAT(server.server().MetricsText(), HasSubstr("kandinsky_images_total{format=\"webp\"} 1"));
}

TEST(Tasks, WriteTheParametersIntoAPngWhenAsked) {
  TestServer server(AnyTask());
  v1::GenerateRequest request = SmallRequest("un chat noir é");
  EXPECT_FALSE(absl::StrContains(Stream(server, request).ImageData(), "parameters"));
  request.mutable_output()->set_embed_parameters(true);
  const std::string png = Stream(server, request).ImageData();
  const size_t begin = png.find('{');
  ASSERT_NE(begin, std::string::npos);
  ASSERT_TRUE(absl::StrContains(png, "parameters"));
  const auto json = nlohmann::json::parse(png.substr(begin, png.find('}') - begin + 1));
  EXPECT_EQ(json["prompt"], "un chat noir é");
  EXPECT_EQ(json["seed"], "7");
  EXPECT_EQ(json["steps"], 4);
  EXPECT_EQ(json["model"], "fake");
}

// Images that clients should not have sent.
class HostileImage : public testing::Test {
 protected:
  HostileImage() : server_(AnyTask()) {}

  grpc::Status Send(const std::string& image) {
    v1::GenerateRequest request = SmallRequest();
    request.mutable_image_to_image()->set_image(image);
    return Stream(server_, request).status;
  }

  TestServer server_;
};

TEST_F(HostileImage, ThatAsksForHugeMemoryIsRefusedByItsHeader) {
  Send(PlainPng(8, 8));  // warm
  const int64_t before = PeakResidentBytes();
  for (int i = 0; i < 50; ++i) {
    for (const std::string& bomb : {LargestWebpHeader(), PngHeader(30000, 30000), PngHeader(0x7FFFFFFF, 1)}) {
      const grpc::Status status = Send(bomb);
      EXPECT_EQ(status.error_code(), grpc::StatusCode::INVALID_ARGUMENT);
      EXPECT_EQ(FirstWrongField(status), "image_to_image.image");
    }
  }
#if defined(__SANITIZE_THREAD__)
  constexpr int64_t kMostBytes = 256 << 20;  // its history of every thread counts too
#else
  constexpr int64_t kMostBytes = 64 << 20;
#endif
  EXPECT_LT(PeakResidentBytes() - before, kMostBytes) << "one of them decoded takes 800 MB";
  EXPECT_THAT(server_.server().MetricsText(),
              HasSubstr("kandinsky_image_decode_rejected_total{reason=\"too_many_pixels\"}"));
}

TEST_F(HostileImage, ThatEndsEarlyIsRefusedWithItsField) {
  for (const std::string& image : {TruncatedPng(64, 64), JpegOf(Gradient(64, 64)).substr(0, 900),
                                   WebpOf(Gradient(64, 64)).substr(0, 60)}) {
    const grpc::Status status = Send(image);
    EXPECT_EQ(status.error_code(), grpc::StatusCode::INVALID_ARGUMENT);
    EXPECT_EQ(FirstWrongField(status), "image_to_image.image");
  }
  EXPECT_EQ(server_.log().admitted(), 0);
  EXPECT_TRUE(Send(PlainPng(8, 8)).ok());
  server_.WaitForMetric("kandinsky_inflight_bytes 0");
}

TEST_F(HostileImage, ThatIsFoundDamagedOnlyWhenItIsDecodedEndsItsCall) {
  std::string damaged = PngOf(Gradient(64, 64));
  damaged[damaged.size() / 2] = static_cast<char>(damaged[damaged.size() / 2] ^ 0x55);
  const grpc::Status status = Send(damaged);
  EXPECT_EQ(status.error_code(), grpc::StatusCode::INVALID_ARGUMENT);
  EXPECT_EQ(Reason(status), "INVALID_REQUEST");
  EXPECT_EQ(FirstWrongField(status), "image_to_image.image");
  EXPECT_THAT(server_.server().MetricsText(),
              HasSubstr("kandinsky_image_decode_rejected_total{reason=\"damaged\"} 1"));
}

TEST_F(HostileImage, IsNotDecodedToCheckARequest) {
  std::string damaged = PngOf(Gradient(64, 64));
  damaged[damaged.size() / 2] = static_cast<char>(damaged[damaged.size() / 2] ^ 0x55);
  v1::GenerateRequest request = SmallRequest();
  request.mutable_image_to_image()->set_image(damaged);
  request.set_validate_only(true);
  EXPECT_TRUE(Stream(server_, request).status.ok()) << "only its header is read";
}

TEST(Tasks, AReplayedRequestDecodesNothingAgain) {
  TestServer server(AnyTask());
  v1::GenerateRequest request = SmallRequest();
  request.set_request_id("once");
  request.mutable_image_to_image()->set_image(PngOf(Gradient(300, 300)));
  const std::string first = Stream(server, request).ImageData();
  const std::string second = Stream(server, request).ImageData();
  EXPECT_EQ(first, second);
  EXPECT_EQ(server.log().admitted(), 1);
  request.mutable_image_to_image()->set_image(PngOf(Gradient(300, 301)));
  EXPECT_EQ(Stream(server, request).status.error_code(), grpc::StatusCode::ALREADY_EXISTS);
}

TEST(Tasks, ARequestWithALargeImageIsKeptWithoutIt) {
  TestServer server(AnyTask());
  v1::GenerateRequest request = SmallRequest();
  request.set_request_id("once");
  Image noise = FakePipeline::ExpectedImage(3, 500, 500);
  request.mutable_image_to_image()->set_image(PngOf(noise));
  ASSERT_GT(request.ByteSizeLong(), 500'000u);
  EXPECT_TRUE(Stream(server, request).status.ok());
  server.WaitForMetric("kandinsky_inflight_calls 0");  // each holds its message
  EXPECT_LT(server.server().Snapshot().inflight_bytes, 10'000);
  EXPECT_TRUE(Stream(server, request).status.ok());
  EXPECT_EQ(server.log().admitted(), 1);
}

TEST(Tasks, EveryCallHoldsTheBytesOfItsMessage) {
  TestServerOptions options = AnyTask();
  options.gated = true;
  options.overrides = {"engine.max_inflight_bytes=4194304"};
  TestServer server(options);
  v1::GenerateRequest request = SmallRequest();
  request.set_request_id("shared");
  request.mutable_image_to_image()->set_image(PngOf(FakePipeline::ExpectedImage(3, 500, 500)));
  const auto message_bytes = static_cast<int64_t>(request.ByteSizeLong());
  ASSERT_GT(message_bytes, 500'000);
  OpenStream first(server.stub(), request);
  server.gate().WaitForArrivals(1);
  OpenStream joined(server.stub(), request);
  joined.WaitFor(v1::GenerateEvent::kStarted);
  EXPECT_GE(server.server().Snapshot().inflight_bytes, 2 * message_bytes);
  std::vector<std::unique_ptr<OpenStream>> more;
  for (int64_t bytes = 2 * message_bytes; bytes < 4194304; bytes += message_bytes) {
    more.push_back(std::make_unique<OpenStream>(server.stub(), request));
  }
  server.WaitForMetric(
      "kandinsky_requests_total{code=\"RESOURCE_EXHAUSTED\",method=\"Generate\",reason=\"BYTES_IN_FLIGHT\"} "
      "1");
  server.gate().Open();
  for (const auto& stream : more) stream->End();
  EXPECT_TRUE(joined.End().status.ok());
  EXPECT_TRUE(first.End().status.ok());
}

TEST(Tasks, WorkWhoseImagesAreStillBeingDecodedSurvivesTheDrain) {
  TestServerOptions options = AnyTask();
  options.overrides = {"codec_threads=1"};
  TestServer server(options);
  v1::GenerateRequest request = SmallRequest("");
  for (int i = 0; i < 4; ++i) request.mutable_mix()->add_parts()->set_image(PlainPng(2000, 2000));
  OpenStream stream(server.stub(), request);
  while (server.server().Snapshot().inflight_bytes < 10'000'000) std::this_thread::yield();
  EXPECT_EQ(server.server().Drain(), 0);
  EXPECT_TRUE(stream.End().status.ok());
}

TEST(Tasks, ImagesThatDoNotFitIntoTheByteBudgetAreRefused) {
  TestServerOptions options = AnyTask();
  options.overrides = {"engine.max_inflight_bytes=1048576"};
  TestServer server(options);
  v1::GenerateRequest request = SmallRequest();
  request.mutable_image_to_image()->set_image(PlainPng(1000, 1000));
  const grpc::Status status = Stream(server, request).status;
  EXPECT_EQ(status.error_code(), grpc::StatusCode::RESOURCE_EXHAUSTED);
  EXPECT_EQ(Reason(status), "BYTES_IN_FLIGHT");
  request.mutable_image_to_image()->set_image(PlainPng(100, 100));
  EXPECT_TRUE(Stream(server, request).status.ok());
}

}  // namespace
}  // namespace kandinsky::server
