#include "server/error_details.h"

#include <gtest/gtest.h>

#include "google/rpc/error_details.pb.h"
#include "google/rpc/status.pb.h"

namespace kandinsky {
namespace {

google::rpc::Status Rich(const grpc::Status& status) {
  google::rpc::Status rich;
  EXPECT_TRUE(rich.ParseFromString(status.error_details()));
  return rich;
}

TEST(ErrorDetails, BeginWithAnErrorInfoOfTheProjectsDomain) {
  for (const grpc::Status& status :
       {InvalidRequestError({{"width", "rule"}}), MalformedRequestError(), NotFoundError("model", "x"),
        RequestIdInUseError("x"), QueueFullError(absl::Seconds(1)),
        UnavailableError("MODEL_LOADING", "text", absl::Seconds(1)), DeadlineExceededError("queued"),
        CancelledError(true), CancelledError(false), InternalError("cause")}) {
    const google::rpc::Status rich = Rich(status);
    EXPECT_EQ(rich.code(), status.error_code());
    EXPECT_EQ(rich.message(), status.error_message());
    google::rpc::ErrorInfo info;
    ASSERT_TRUE(rich.details(0).UnpackTo(&info)) << status.error_message();
    EXPECT_EQ(info.domain(), "kandinsky");
    EXPECT_EQ(info.reason(), ErrorReason(status));
    EXPECT_EQ(info.reason().find_first_not_of("ABCDEFGHIJKLMNOPQRSTUVWXYZ_"), std::string::npos);
  }
}

TEST(ErrorDetails, ListEveryViolation) {
  google::rpc::BadRequest bad_request;
  ASSERT_TRUE(Rich(InvalidRequestError({{"width", "a"}, {"steps", "b"}})).details(1).UnpackTo(&bad_request));
  ASSERT_EQ(bad_request.field_violations_size(), 2);
  EXPECT_EQ(bad_request.field_violations(1).field(), "steps");
  EXPECT_EQ(bad_request.field_violations(1).description(), "b");
}

TEST(ErrorDetails, CarryTheRetryDelayButNeverLessThanATenthOfASecond) {
  google::rpc::RetryInfo retry;
  ASSERT_TRUE(Rich(QueueFullError(absl::Milliseconds(2500))).details(1).UnpackTo(&retry));
  EXPECT_EQ(retry.retry_delay().seconds(), 2);
  EXPECT_EQ(retry.retry_delay().nanos(), 500'000'000);
  ASSERT_TRUE(Rich(QueueFullError(absl::ZeroDuration())).details(1).UnpackTo(&retry));
  EXPECT_EQ(retry.retry_delay().seconds(), 0);
  EXPECT_EQ(retry.retry_delay().nanos(), 100'000'000);
}

TEST(ErrorDetails, HideTheCauseOfAnInternalErrorBehindAnId) {
  const grpc::Status status = InternalError("secret");
  EXPECT_EQ(status.error_details().find("secret"), std::string::npos);
  EXPECT_EQ(status.error_message(), "internal error");
  google::rpc::ErrorInfo info;
  ASSERT_TRUE(Rich(status).details(0).UnpackTo(&info));
  EXPECT_EQ(info.metadata().at("error_id").size(), 16u);
  google::rpc::ErrorInfo other;
  ASSERT_TRUE(Rich(InternalError("secret")).details(0).UnpackTo(&other));
  EXPECT_NE(info.metadata().at("error_id"), other.metadata().at("error_id"));
}

TEST(ErrorDetails, MapWhatTheEngineEndsRequestsWith) {
  EXPECT_EQ(ErrorReason(GenerationError(absl::ResourceExhaustedError("x"))), "OUT_OF_MEMORY");
  EXPECT_EQ(ErrorReason(GenerationError(absl::InvalidArgumentError("x"))), "REFUSED_BY_MODEL");
  EXPECT_EQ(ErrorReason(GenerationError(absl::UnavailableError("x"))), "NO_WORKER");
  for (const absl::Status& unexpected :
       {absl::InternalError("x"), absl::DataLossError("x"), absl::UnknownError("x")}) {
    EXPECT_EQ(GenerationError(unexpected).error_code(), grpc::StatusCode::INTERNAL);
  }
}

TEST(ErrorDetails, GiveNoReasonToASuccess) { EXPECT_EQ(ErrorReason(grpc::Status::OK), ""); }

TEST(ErrorDetails, NameStatusCodes) {
  EXPECT_STREQ(StatusCodeName(grpc::StatusCode::OK), "OK");
  EXPECT_STREQ(StatusCodeName(grpc::StatusCode::RESOURCE_EXHAUSTED), "RESOURCE_EXHAUSTED");
}

}  // namespace
}  // namespace kandinsky
