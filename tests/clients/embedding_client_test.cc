#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "clients/cpp/image_client.h"
#include "clients/cpp/rich_error.h"
#include "tests/clients/scripted_server.h"

namespace kandinsky::client {
namespace {

using ::testing::ElementsAre;

// The calls of EmbeddingService, one by one.
TEST(EmbeddingClientTest, EmbedsTexts) {
  Script script;
  script.embed_text.add_embeddings()->set_tokens(5);
  ScriptedServer server(script);
  ImageClient client = ImageClient::Connect(server.address());
  v1::EmbedTextRequest request;
  request.add_texts("cat");
  const auto response = client.EmbedText(request, {.client_id = "studio"});
  ASSERT_TRUE(response.ok()) << response.status();
  EXPECT_EQ(response->embeddings(0).tokens(), 5);
  EXPECT_THAT(server.received().embed_text.texts(), ElementsAre("cat"));
  EXPECT_EQ(server.received().client_id, "studio");
}

TEST(EmbeddingClientTest, EmbedsImagesOfEightMebibytes) {
  Script script;
  script.embed_images.add_embeddings()->add_values(0.5);
  ScriptedServer server(script);
  v1::EmbedImagesRequest request;
  for (int i = 0; i < 2; ++i) request.add_images(std::string(8 << 20, 'x'));
  const auto response = ImageClient::Connect(server.address()).EmbedImages(request);
  ASSERT_TRUE(response.ok()) << response.status();
  EXPECT_THAT(response->embeddings(0).values(), ElementsAre(0.5));
  EXPECT_EQ(server.received().embed_images.images(1).size(), size_t{8} << 20);
}

TEST(EmbeddingClientTest, MakesImageEmbeddings) {
  Script script;
  script.generate_image_embedding.add_embeddings()->set_seed(7);
  ScriptedServer server(script);
  v1::GenerateImageEmbeddingRequest request;
  request.set_prompt("cat");
  const auto response = ImageClient::Connect(server.address()).GenerateImageEmbedding(request);
  ASSERT_TRUE(response.ok()) << response.status();
  EXPECT_EQ(response->embeddings(0).seed(), 7u);
  EXPECT_EQ(server.received().generate_image_embedding.prompt(), "cat");
}

TEST(EmbeddingClientTest, EncodesLatents) {
  Script script;
  script.encode_latents.mutable_latents()->add_shape(4);
  ScriptedServer server(script);
  v1::EncodeLatentsRequest request;
  request.set_image("image");
  const auto response = ImageClient::Connect(server.address()).EncodeLatents(request);
  ASSERT_TRUE(response.ok()) << response.status();
  EXPECT_THAT(response->latents().shape(), ElementsAre(4));
  EXPECT_EQ(server.received().encode_latents.image(), "image");
}

TEST(EmbeddingClientTest, ReceivesTheFloatPixelsOfTheLargestImage) {
  Script script;
  const size_t bytes = size_t{4} * 3 * 2048 * 2048;
  script.decode_latents.mutable_pixels()->set_data(std::string(bytes, 'x'));
  ScriptedServer server(script);
  v1::DecodeLatentsRequest request;
  request.set_float_pixels(true);
  const auto response = ImageClient::Connect(server.address()).DecodeLatents(request);
  ASSERT_TRUE(response.ok()) << response.status();
  EXPECT_EQ(response->pixels().data().size(), bytes);
  EXPECT_TRUE(server.received().decode_latents.float_pixels());
}

TEST(EmbeddingClientTest, ErrorsAndCancellationAreThoseOfEveryCall) {
  ScriptedServer server({.status = grpc::Status(grpc::StatusCode::NOT_FOUND, "unknown model")});
  ImageClient client = ImageClient::Connect(server.address());
  EXPECT_EQ(client.EmbedText({}).status(), absl::NotFoundError("unknown model"));
  EXPECT_EQ(client.EmbedImages({}).status(), absl::NotFoundError("unknown model"));
  EXPECT_EQ(client.GenerateImageEmbedding({}).status(), absl::NotFoundError("unknown model"));
  EXPECT_EQ(client.EncodeLatents({}).status(), absl::NotFoundError("unknown model"));
  EXPECT_EQ(client.DecodeLatents({}).status(), absl::NotFoundError("unknown model"));
  Cancellation cancellation;
  cancellation.Cancel();
  EXPECT_TRUE(absl::IsCancelled(client.EncodeLatents({}, {.cancellation = &cancellation}).status()));
}

}  // namespace
}  // namespace kandinsky::client
