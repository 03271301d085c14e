#include "server/generation_methods.h"

#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <variant>
#include <vector>

#include "absl/hash/hash.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "server/call_metadata.h"
#include "server/config.h"
#include "server/error_details.h"
#include "server/generation_store.h"

namespace kandinsky::server {
namespace {

constexpr int kDefaultPageSize = 100;
constexpr int kLargestPageSize = 1000;
constexpr char kNameRule[] = "must have 1 to 128 characters of A-Z a-z 0-9 . _ -";

// The record that `client` and `id` name, or the error.
std::variant<std::shared_ptr<GenerationRecord>, grpc::Status> FindRecord(const grpc::ServerContextBase& rpc,
                                                                         const std::string& id,
                                                                         GenerationStore& store) {
  const std::optional<std::string> client = ClientIdOf(rpc);
  if (!client.has_value()) return InvalidClientIdError();
  if (!IsValidName(id)) return InvalidRequestError({{"id", kNameRule}});
  std::shared_ptr<GenerationRecord> record = store.Find(*client, id);
  if (record == nullptr) return NotFoundError("generation", id);
  return record;
}

// A page token is the place of the last generation of the page before, and a check that also covers what
// else the request says, with a key that is the process's own.
std::string PageToken(uint64_t place, const GenerationStore::Filter& filter) {
  const size_t check = absl::HashOf(place, filter.client, static_cast<int>(filter.state));
  return absl::StrCat(absl::Hex(place, absl::kZeroPad16), absl::Hex(check, absl::kZeroPad16));
}

// The place in a token that was made for `filter`; nothing when it was not.
std::optional<uint64_t> PlaceIn(const std::string& token, const GenerationStore::Filter& filter) {
  uint64_t place = 0;
  if (token.empty()) return place;
  if (!absl::SimpleHexAtoi(token.substr(0, 16), &place) || token != PageToken(place, filter)) {
    return std::nullopt;
  }
  return place;
}

// Who lists: clients see their own requests, the operator everybody's.
struct Lister {
  std::string client;
  bool is_operator = false;
};

std::vector<FieldViolation> ViolationsOf(const v1::ListGenerationsRequest& request, const Lister& lister) {
  std::vector<FieldViolation> violations;
  // The ids of nameless clients are all that keeps their results apart.
  if (lister.client.empty()) violations.push_back({kClientIdKey, "is needed to list requests"});
  if (request.has_page_size() && (request.page_size() < 1 || request.page_size() > kLargestPageSize)) {
    violations.push_back({"page_size", absl::StrCat("must be 1 to ", kLargestPageSize)});
  }
  if (!v1::GenerationState_IsValid(request.state())) {
    violations.push_back({"state", "is not a known state"});
  }
  if (!request.client_id().empty() && !IsValidName(request.client_id())) {
    violations.push_back({"client_id", kNameRule});
  } else if (!lister.is_operator && !request.client_id().empty() && request.client_id() != lister.client) {
    violations.push_back(
        {"client_id", "must be empty or your own x-client-id: only the operator lists others"});
  }
  return violations;
}

}  // namespace

grpc::Status GenerationMethods::Cancel(const grpc::ServerContextBase& rpc,
                                       const v1::CancelGenerationRequest& request,
                                       v1::CancelGenerationResponse&) const {
  auto found = FindRecord(rpc, request.id(), context_.store);
  if (const auto* error = std::get_if<grpc::Status>(&found)) return *error;
  const bool live = std::get<std::shared_ptr<GenerationRecord>>(found)->Cancel();
  return live ? grpc::Status::OK : NotFoundError("generation", request.id());
}

grpc::Status GenerationMethods::Get(const grpc::ServerContextBase& rpc,
                                    const v1::GetGenerationRequest& request, v1::Generation& response) const {
  auto found = FindRecord(rpc, request.id(), context_.store);
  if (const auto* error = std::get_if<grpc::Status>(&found)) return *error;
  const GenerationRecord& record = *std::get<std::shared_ptr<GenerationRecord>>(found);
  response = record.Describe(context_.store.keep());
  if (!request.include_images()) return grpc::Status::OK;
  const std::vector<SharedImage> images = record.images();
  size_t bytes = 0;
  for (const SharedImage& image : images) bytes += image->ByteSizeLong();
  if (bytes > static_cast<size_t>(context_.limits.max_unary_reply_bytes())) {
    return InvalidRequestError(
        {{"include_images",
          absl::StrCat("the images take ", bytes, " bytes, a single reply holds ",
                       context_.limits.max_unary_reply_bytes(), "; call Generate with the same request")}});
  }
  for (const SharedImage& image : images) *response.add_images() = *image;
  return grpc::Status::OK;
}

grpc::Status GenerationMethods::List(const grpc::ServerContextBase& rpc,
                                     const v1::ListGenerationsRequest& request,
                                     v1::ListGenerationsResponse& response) const {
  const std::optional<std::string> client = ClientIdOf(rpc);
  if (!client.has_value()) return InvalidClientIdError();
  const Lister lister = {.client = *client,
                         .is_operator = !client->empty() && *client == operator_client_id_};
  std::vector<FieldViolation> violations = ViolationsOf(request, lister);
  const GenerationStore::Filter filter = {.client = lister.is_operator ? request.client_id() : lister.client,
                                          .state = request.state()};
  const std::optional<uint64_t> after = PlaceIn(request.page_token(), filter);
  if (!after.has_value()) {
    violations.push_back({"page_token", "must be a next_page_token that this server gave for this request"});
  }
  if (!violations.empty()) return InvalidRequestError(violations);

  const auto page_size =
      static_cast<size_t>(request.has_page_size() ? request.page_size() : kDefaultPageSize);
  // One more than the page holds tells whether there is another page.
  const auto listed = context_.store.List(*after, filter, page_size + 1);
  uint64_t last = 0;
  size_t bytes = 0;
  for (const auto& [place, record] : listed) {
    v1::Generation generation = record->Describe(context_.store.keep());
    bytes += generation.ByteSizeLong();
    const bool full = static_cast<size_t>(response.generations_size()) == page_size ||
                      bytes > static_cast<size_t>(context_.limits.max_unary_reply_bytes());
    if (full && response.generations_size() > 0) {
      response.set_next_page_token(PageToken(last, filter));
      break;
    }
    last = place;
    *response.add_generations() = std::move(generation);
  }
  return grpc::Status::OK;
}

}  // namespace kandinsky::server
