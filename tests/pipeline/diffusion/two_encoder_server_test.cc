#include <gmock/gmock.h>
#include <grpcpp/create_channel.h>
#include <gtest/gtest.h>

#include "absl/strings/str_cat.h"
#include "kandinsky/v1/model.grpc.pb.h"
#include "tests/pipeline/diffusion/two_encoder_family.h"
#include "tests/server/test_server.h"

namespace kandinsky::server {
namespace {

using ::testing::HasSubstr;

// The real server and scheduler around the model.
class TwoEncoderServerTest : public ::testing::Test {
 protected:
  TwoEncoderServerTest() {
    auto server = Server::Start(
        TestServer::Config({}), [] { return LoadTwoEncoderModel(); }, Clock::Real());
    EXPECT_TRUE(server.ok()) << server.status();
    server_ = *std::move(server);
    EXPECT_EQ(server_->WaitUntilReady(), absl::OkStatus());
    channel_ =
        grpc::CreateChannel(absl::StrCat("127.0.0.1:", server_->port()), grpc::InsecureChannelCredentials());
  }

  v1::GenerateRequest Request() const {
    v1::GenerateRequest request;
    request.set_prompt("a red cat");
    request.set_image_count(2);
    request.set_seed(7);
    return request;
  }

  grpc::Status Generate(const v1::GenerateRequest& request, v1::GenerateImagesResponse* response) const {
    grpc::ClientContext context;
    return v1::ImageGenerationService::NewStub(channel_)->GenerateImages(&context, request, response);
  }

  std::unique_ptr<Server> server_;
  std::shared_ptr<grpc::Channel> channel_;
};

TEST_F(TwoEncoderServerTest, ServesTextToImageWithTheModelsOwnDefaults) {
  v1::GenerateImagesResponse response;
  const grpc::Status status = Generate(Request(), &response);
  ASSERT_TRUE(status.ok()) << status.error_message();
  ASSERT_EQ(response.images_size(), 2);
  EXPECT_NE(response.images(0).data(), response.images(1).data());
  EXPECT_EQ(response.images(0).width(), 32);
  EXPECT_EQ(response.images(0).mime_type(), "image/png");
}

TEST_F(TwoEncoderServerTest, RefusesWhatNeedsAPriorNamingTheField) {
  v1::GenerateRequest request = Request();
  request.set_prior_steps(5);
  v1::GenerateImagesResponse response;
  const grpc::Status status = Generate(request, &response);
  EXPECT_EQ(status.error_code(), grpc::StatusCode::INVALID_ARGUMENT);
  const auto detail = Detail<google::rpc::BadRequest>(status);
  ASSERT_EQ(detail.field_violations_size(), 1);
  EXPECT_EQ(detail.field_violations(0).field(), "prior_steps");
  EXPECT_THAT(detail.field_violations(0).description(), HasSubstr("the model has no prior"));
}

TEST_F(TwoEncoderServerTest, TellsWhatItServes) {
  grpc::ClientContext context;
  v1::ListModelsResponse list;
  ASSERT_TRUE(v1::ModelService::NewStub(channel_)->ListModels(&context, {}, &list).ok());
  ASSERT_EQ(list.models_size(), 1);
  EXPECT_EQ(list.models(0).family(), "test");
  EXPECT_EQ(list.models(0).latent_scale(), 2);
  ASSERT_EQ(list.models(0).text_windows_size(), 2);
  EXPECT_EQ(list.models(0).text_windows(1).network(), "text_encoder_2");
}

}  // namespace
}  // namespace kandinsky::server
