#include "clients/cpp/rich_error.h"

#include <gtest/gtest.h>

#include "google/rpc/error_details.pb.h"
#include "google/rpc/status.pb.h"

namespace kandinsky::client {
namespace {

template <typename... Details>
grpc::Status Error(grpc::StatusCode code, const std::string& message, const Details&... details) {
  google::rpc::Status status;
  (status.add_details()->PackFrom(details), ...);
  return grpc::Status(code, message, status.SerializeAsString());
}

google::rpc::BadRequest Violations() {
  google::rpc::BadRequest bad_request;
  for (const auto& [field, rule] :
       {std::pair("width", "must be a multiple of 64"), std::pair("steps", "at least 1")}) {
    auto* violation = bad_request.add_field_violations();
    violation->set_field(field);
    violation->set_description(rule);
  }
  return bad_request;
}

TEST(RichErrorTest, OkStaysOk) { EXPECT_TRUE(ReadableStatus(grpc::Status::OK).ok()); }

TEST(RichErrorTest, NamesEveryFieldAndItsRule) {
  const absl::Status status =
      ReadableStatus(Error(grpc::StatusCode::INVALID_ARGUMENT, "the request is invalid", Violations()));
  EXPECT_EQ(status.code(), absl::StatusCode::kInvalidArgument);
  EXPECT_EQ(status.message(), "the request is invalid: width: must be a multiple of 64; steps: at least 1");
  const RichError details = DetailsOf(status);
  ASSERT_EQ(details.violations.size(), 2u);
  EXPECT_EQ(details.violations[0].field, "width");
  EXPECT_EQ(details.violations[1].rule, "at least 1");
}

TEST(RichErrorTest, TellsReasonAndRetryDelay) {
  google::rpc::ErrorInfo info;
  info.set_reason("QUEUE_FULL");
  google::rpc::RetryInfo retry;
  retry.mutable_retry_delay()->set_seconds(2);
  retry.mutable_retry_delay()->set_nanos(500'000'000);
  const absl::Status status =
      ReadableStatus(Error(grpc::StatusCode::RESOURCE_EXHAUSTED, "the queue is full", info, retry));
  EXPECT_EQ(status.message(), "the queue is full (retry in 2.5s)");
  EXPECT_EQ(DetailsOf(status).reason, "QUEUE_FULL");
  EXPECT_EQ(DetailsOf(status).retry_after, absl::Milliseconds(2500));
}

TEST(RichErrorTest, TellsResourceAndErrorId) {
  google::rpc::ResourceInfo resource;
  resource.set_resource_type("model");
  resource.set_resource_name("x");
  EXPECT_EQ(ReadableStatus(Error(grpc::StatusCode::NOT_FOUND, "unknown model", resource)).message(),
            "unknown model: model \"x\"");
  google::rpc::ErrorInfo info;
  (*info.mutable_metadata())["error_id"] = "00ff";
  EXPECT_EQ(ReadableStatus(Error(grpc::StatusCode::INTERNAL, "internal error", info)).message(),
            "internal error (error id 00ff)");
}

TEST(RichErrorTest, AMessageAloneIsKept) {
  const absl::Status status = ReadableStatus(grpc::Status(grpc::StatusCode::UNAVAILABLE, "no connection"));
  EXPECT_EQ(status, absl::UnavailableError("no connection"));
  EXPECT_TRUE(DetailsOf(status).reason.empty());
}

TEST(RichErrorTest, DetailsThatAreNoMessageAreIgnored) {
  const absl::Status status =
      ReadableStatus(grpc::Status(grpc::StatusCode::INTERNAL, "broken", "\xff\xff\xff"));
  EXPECT_EQ(status.message(), "broken");
}

TEST(RichErrorTest, AHostileMessageStaysOnOneLine) {
  const absl::Status status = ReadableStatus(grpc::Status(grpc::StatusCode::UNKNOWN, "a\nb\x1b[31m\r"));
  EXPECT_EQ(status.message(), "a b [31m ");
}

}  // namespace
}  // namespace kandinsky::client
