#include "clients/cpp/rich_error.h"

#include "absl/strings/cord.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "google/rpc/error_details.pb.h"
#include "google/rpc/status.pb.h"

namespace kandinsky::client {
namespace {

constexpr char kPayload[] = "type.googleapis.com/google.rpc.Status";

RichError Decode(const std::string& serialized) {
  RichError error;
  google::rpc::Status status;
  if (!status.ParseFromString(serialized)) return error;
  google::rpc::ErrorInfo info;
  google::rpc::BadRequest bad_request;
  google::rpc::RetryInfo retry;
  google::rpc::ResourceInfo resource;
  for (const auto& detail : status.details()) {
    if (detail.UnpackTo(&info)) {
      error.reason = info.reason();
      const auto id = info.metadata().find("error_id");
      if (id != info.metadata().end()) error.error_id = id->second;
    } else if (detail.UnpackTo(&bad_request)) {
      for (const auto& violation : bad_request.field_violations()) {
        error.violations.push_back({violation.field(), violation.description()});
      }
    } else if (detail.UnpackTo(&retry)) {
      error.retry_after =
          absl::Seconds(retry.retry_delay().seconds()) + absl::Nanoseconds(retry.retry_delay().nanos());
    } else if (detail.UnpackTo(&resource)) {
      error.resource = absl::StrCat(resource.resource_type(), " \"", resource.resource_name(), "\"");
    }
  }
  return error;
}

std::string Describe(const std::string& message, const RichError& error) {
  std::string text = message;
  const char* separator = text.empty() ? "" : ": ";
  for (const RichError::Violation& violation : error.violations) {
    absl::StrAppend(&text, separator, violation.field, ": ", violation.rule);
    separator = "; ";
  }
  if (!error.resource.empty()) absl::StrAppend(&text, ": ", error.resource);
  if (!error.error_id.empty()) absl::StrAppend(&text, " (error id ", error.error_id, ")");
  if (error.retry_after) absl::StrAppend(&text, " (retry in ", absl::FormatDuration(*error.retry_after), ")");
  return OneLine(std::move(text));
}

}  // namespace

std::string OneLine(std::string text) {
  for (size_t i = 0; i < text.size(); ++i) {
    const auto byte = [&](size_t at) { return at < text.size() ? static_cast<unsigned char>(text[at]) : 0; };
    // In UTF-8, 0xc2 begins the second range of controls, some of which terminals obey.
    const bool second = byte(i) == 0xc2 && byte(i + 1) >= 0x80 && byte(i + 1) < 0xa0;
    if (second) text[i + 1] = ' ';
    if (second || byte(i) < 0x20 || byte(i) == 0x7f) text[i] = ' ';
  }
  return text;
}

absl::Status ReadableStatus(const grpc::Status& status) {
  if (status.ok()) return absl::OkStatus();
  const std::string text = Describe(status.error_message(), Decode(status.error_details()));
  absl::Status readable(static_cast<absl::StatusCode>(status.error_code()), text);
  if (!status.error_details().empty()) readable.SetPayload(kPayload, absl::Cord(status.error_details()));
  return readable;
}

RichError DetailsOf(const absl::Status& status) {
  const absl::optional<absl::Cord> payload = status.GetPayload(kPayload);
  return payload ? Decode(std::string(*payload)) : RichError();
}

}  // namespace kandinsky::client
