#include "server/error_details.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <tuple>

#include "google/rpc/error_details.pb.h"
#include "google/rpc/status.pb.h"
#include "server/error_kinds.h"

namespace kandinsky::server {
namespace {

google::rpc::Status Rich(const grpc::Status& status) {
  google::rpc::Status rich;
  EXPECT_TRUE(rich.ParseFromString(status.error_details()));
  return rich;
}

template <typename T>
T Find(const grpc::Status& status) {
  const google::rpc::Status rich = Rich(status);
  T detail;
  for (const auto& any : rich.details()) {
    if (any.UnpackTo(&detail)) return detail;
  }
  return T();
}

Submission Refused(RefusalReason refusal, absl::Duration wait = absl::Seconds(3)) {
  return {.status = absl::InternalError("secret"),
          .refusal = refusal,
          .number = 0,
          .estimated_wait = wait,
          .estimated_total = absl::Seconds(12.5)};
}

TEST(ErrorDetails, BeginWithAnErrorInfoOfTheProjectsDomain) {
  for (const grpc::Status& status :
       {InvalidRequestError({{"width", "rule"}}), MalformedRequestError(), NotFoundError("model", "x"),
        RequestIdInUseError("x"), BytesInFlightError(absl::Seconds(1)), ShedError(absl::Seconds(1)),
        RefusalError(Refused(RefusalReason::kQueueFull)),
        RefusalError(Refused(RefusalReason::kDeadlineUnreachable)),
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
    EXPECT_TRUE(std::any_of(ErrorKinds().begin(), ErrorKinds().end(), [&](const ErrorKind& kind) {
      return kind.code == status.error_code() && kind.reason == info.reason();
    })) << info.reason();
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
  EXPECT_EQ(RetryDelay(ShedError(absl::Milliseconds(2500))), absl::Milliseconds(2500));
  EXPECT_EQ(RetryDelay(ShedError(absl::ZeroDuration())), absl::Milliseconds(100));
  EXPECT_EQ(RetryDelay(BytesInFlightError(absl::Seconds(7))), absl::Seconds(7));
}

TEST(ErrorDetails, HaveNoRetryDelayWhereARetryCannotHelp) {
  EXPECT_EQ(RetryDelay(BytesInFlightError(std::nullopt)), std::nullopt);
  EXPECT_EQ(RetryDelay(InvalidRequestError({})), std::nullopt);
  EXPECT_EQ(RetryDelay(grpc::Status::OK), std::nullopt);
}

TEST(ErrorDetails, TellAFullQueueFromOneThatIsTooLong) {
  for (const auto& [refusal, reason, setting] :
       {std::tuple{RefusalReason::kQueueFull, "QUEUE_FULL", "engine.max_queued_requests"},
        std::tuple{RefusalReason::kQueueTooLong, "QUEUE_TOO_LONG", "engine.max_queued_seconds"}}) {
    const grpc::Status status = RefusalError(Refused(refusal));
    EXPECT_EQ(status.error_code(), grpc::StatusCode::RESOURCE_EXHAUSTED);
    EXPECT_EQ(ErrorReason(status), reason);
    EXPECT_EQ(Find<google::rpc::QuotaFailure>(status).violations(0).subject(), setting);
    EXPECT_EQ(RetryDelay(status), absl::Seconds(3));
  }
}

TEST(ErrorDetails, SayWhenARequestOfAnUnreachableDeadlineWouldHaveEnded) {
  const grpc::Status status = RefusalError(Refused(RefusalReason::kDeadlineUnreachable));
  EXPECT_EQ(status.error_code(), grpc::StatusCode::DEADLINE_EXCEEDED);
  const auto info = Find<google::rpc::ErrorInfo>(status);
  EXPECT_EQ(info.reason(), "DEADLINE_UNREACHABLE");
  EXPECT_EQ(info.metadata().at("phase"), "admission");
  EXPECT_EQ(info.metadata().at("predicted_seconds"), "12.5");
  EXPECT_EQ(RetryDelay(status), std::nullopt);
}

TEST(ErrorDetails, SayWhenADeadlineWouldBeInReach) {
  Submission refused = Refused(RefusalReason::kDeadlineUnreachable);
  refused.reachable_after = absl::Seconds(4);
  EXPECT_EQ(RetryDelay(RefusalError(refused)), absl::Seconds(4));
}

TEST(ErrorDetails, MapEveryRefusalOfTheEngine) {
  for (const auto& [refusal, code, reason] :
       {std::tuple{RefusalReason::kDraining, grpc::StatusCode::UNAVAILABLE, "SHUTTING_DOWN"},
        std::tuple{RefusalReason::kNoWorker, grpc::StatusCode::UNAVAILABLE, "NO_WORKER"},
        std::tuple{RefusalReason::kDeadlinePassed, grpc::StatusCode::DEADLINE_EXCEEDED, "DEADLINE_EXCEEDED"},
        std::tuple{RefusalReason::kInvalid, grpc::StatusCode::INTERNAL, "INTERNAL"}}) {
    const grpc::Status status = RefusalError(Refused(refusal));
    EXPECT_EQ(status.error_code(), code) << reason;
    EXPECT_EQ(ErrorReason(status), reason);
    EXPECT_EQ(RetryDelay(status).has_value(), code == grpc::StatusCode::UNAVAILABLE) << reason;
  }
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
  EXPECT_EQ(Find<google::rpc::QuotaFailure>(GenerationError(absl::ResourceExhaustedError("x")))
                .violations(0)
                .subject(),
            "engine.max_batch_memory_bytes");
  EXPECT_EQ(Find<google::rpc::QuotaFailure>(DecodeQueueFullError()).violations(0).subject(), "codec_threads");
  EXPECT_EQ(ErrorReason(GenerationError(absl::InvalidArgumentError("x"))), "REFUSED_BY_MODEL");
  EXPECT_EQ(ErrorReason(GenerationError(absl::UnavailableError("x"))), "WORKER_LOST");
  EXPECT_TRUE(RetryDelay(GenerationError(absl::UnavailableError("x"))).has_value());
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
}  // namespace kandinsky::server
