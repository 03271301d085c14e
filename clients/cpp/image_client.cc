#include "clients/cpp/image_client.h"

#include <grpc/support/time.h>
#include <grpcpp/create_channel.h>
#include <grpcpp/security/credentials.h>

#include <map>
#include <utility>

#include "clients/cpp/rich_error.h"

namespace kandinsky::client {

// Connects a Cancellation, if there is one, with the context of a call for a scope.
class Cancellation::Scope {
 public:
  Scope(Cancellation* cancellation, grpc::ClientContext& context) : cancellation_(cancellation) {
    if (cancellation_ == nullptr) return;
    const std::lock_guard<std::mutex> lock(cancellation_->mutex_);
    cancellation_->context_ = &context;
    cancellation_->called_ = true;
    if (cancellation_->cancelled_) context.TryCancel();
  }
  ~Scope() {
    if (cancellation_ == nullptr) return;
    const std::lock_guard<std::mutex> lock(cancellation_->mutex_);
    cancellation_->context_ = nullptr;
  }
  Scope(const Scope&) = delete;
  Scope& operator=(const Scope&) = delete;

 private:
  Cancellation* const cancellation_;
};

void Cancellation::Cancel() {
  const std::lock_guard<std::mutex> lock(mutex_);
  cancelled_ = true;
  if (context_ != nullptr) context_->TryCancel();
}

bool Cancellation::cancelled() const {
  const std::lock_guard<std::mutex> lock(mutex_);
  return cancelled_;
}

bool Cancellation::called() const {
  const std::lock_guard<std::mutex> lock(mutex_);
  return called_;
}

namespace {

constexpr absl::Duration kLongestTimeout = absl::Hours(24 * 365);  // longer is without an end

void Prepare(const CallOptions& options, grpc::ClientContext& context) {
  if (!options.client_id.empty()) context.AddMetadata("x-client-id", options.client_id);
  if (options.timeout > kLongestTimeout) return;
  // A span of time, not a point of the wall clock, which may be set meanwhile.
  context.set_deadline(gpr_time_from_millis(absl::ToInt64Milliseconds(options.timeout), GPR_TIMESPAN));
}

// Where a part has its bytes; null when it has none.
std::string* DataOf(v1::GeneratedImage& part) {
  if (part.has_latents()) return part.mutable_latents()->mutable_data();
  return part.payload_case() == v1::GeneratedImage::kData ? part.mutable_data() : nullptr;
}

// Joins the parts of images and latents.
class ImageAssembler {
 public:
  // Takes one part; the image when it is the last one. DATA_LOSS when parts do not follow each other.
  absl::StatusOr<absl::optional<v1::GeneratedImage>> Add(v1::GeneratedImage part) {
    std::string* const part_data = DataOf(part);
    if (part_data == nullptr) return absl::optional<v1::GeneratedImage>(std::move(part));
    const int index = part.index();
    std::string& data = data_[index];
    if (data.size() != static_cast<size_t>(part.data_offset())) {
      return absl::DataLossError("a part of an image is missing");
    }
    data += *part_data;
    if (data.size() < static_cast<size_t>(part.total_bytes())) return absl::optional<v1::GeneratedImage>();
    if (data.size() > static_cast<size_t>(part.total_bytes())) {
      return absl::DataLossError("an image is longer than announced");
    }
    *part_data = std::move(data);
    part.set_data_offset(0);
    data_.erase(index);
    return absl::optional<v1::GeneratedImage>(std::move(part));
  }

  bool complete() const { return data_.empty(); }

 private:
  std::map<int, std::string> data_;  // of images that lack parts, by index
};

// What a stream of events amounts to.
class EventReceiver {
 public:
  explicit EventReceiver(const GenerateCallbacks& callbacks) : callbacks_(callbacks) {}

  absl::Status Receive(v1::GenerateEvent event) {
    switch (event.event_case()) {
      case v1::GenerateEvent::kQueued:
        if (callbacks_.on_queued) callbacks_.on_queued(event.queued());
        break;
      case v1::GenerateEvent::kStarted:
        if (callbacks_.on_started) callbacks_.on_started(event.started());
        break;
      case v1::GenerateEvent::kProgress:
        if (callbacks_.on_progress) callbacks_.on_progress(event.progress());
        break;
      case v1::GenerateEvent::kPreview:
        if (callbacks_.on_preview) callbacks_.on_preview(event.preview());
        break;
      case v1::GenerateEvent::kImage:
        return ReceiveImage(std::move(*event.mutable_image()));
      case v1::GenerateEvent::kCompleted:
        summary_ = std::move(*event.mutable_completed());
        break;
      case v1::GenerateEvent::EVENT_NOT_SET:
        break;  // a kind that this client does not know
    }
    return absl::OkStatus();
  }

  absl::StatusOr<v1::GenerationSummary> Finish() {
    if (!summary_ || !images_.complete())
      return absl::DataLossError("the stream ended before the last event");
    return *std::move(summary_);
  }

 private:
  absl::Status ReceiveImage(v1::GeneratedImage part) {
    absl::StatusOr<absl::optional<v1::GeneratedImage>> image = images_.Add(std::move(part));
    if (!image.ok()) return image.status();
    if (image->has_value() && callbacks_.on_image) callbacks_.on_image(**std::move(image));
    return absl::OkStatus();
  }

  const GenerateCallbacks& callbacks_;
  ImageAssembler images_;
  absl::optional<v1::GenerationSummary> summary_;
};

}  // namespace

template <typename Stub, typename Request, typename Response>
absl::StatusOr<Response> ImageClient::Call(Stub& stub,
                                           grpc::Status (Stub::*method)(grpc::ClientContext*, const Request&,
                                                                        Response*),
                                           const Request& request, const CallOptions& options) {
  grpc::ClientContext context;
  Prepare(options, context);
  const Cancellation::Scope scope(options.cancellation, context);
  Response response;
  const grpc::Status status = (stub.*method)(&context, request, &response);
  if (!status.ok()) return ReadableStatus(status);
  return response;
}

ImageClient::ImageClient(const std::shared_ptr<grpc::Channel>& channel)
    : generation_stub_(v1::ImageGenerationService::NewStub(channel)),
      embedding_stub_(v1::EmbeddingService::NewStub(channel)),
      model_stub_(v1::ModelService::NewStub(channel)) {}

ImageClient ImageClient::Connect(const std::string& address) {
  grpc::ChannelArguments arguments;
  arguments.SetMaxReceiveMessageSize(kMaxReceiveMessageBytes);
  return ImageClient(grpc::CreateCustomChannel(address, grpc::InsecureChannelCredentials(), arguments));
}

absl::StatusOr<v1::GenerationSummary> ImageClient::Generate(const v1::GenerateRequest& request,
                                                            const GenerateCallbacks& callbacks,
                                                            const CallOptions& options) {
  grpc::ClientContext context;
  Prepare(options, context);
  const Cancellation::Scope scope(options.cancellation, context);
  const auto reader = generation_stub_->Generate(&context, request);
  EventReceiver receiver(callbacks);
  absl::Status received;
  v1::GenerateEvent event;
  while (received.ok() && reader->Read(&event)) received = receiver.Receive(std::move(event));
  if (!received.ok()) {
    context.TryCancel();
    reader->Finish();  // CANCELLED by this client; what it received says why
    return received;
  }
  const grpc::Status status = reader->Finish();
  if (!status.ok()) return ReadableStatus(status);
  return receiver.Finish();
}

absl::StatusOr<v1::GenerateImagesResponse> ImageClient::GenerateImages(const v1::GenerateRequest& request,
                                                                       const CallOptions& options) {
  return Call(*generation_stub_, &v1::ImageGenerationService::Stub::GenerateImages, request, options);
}

absl::Status ImageClient::CancelGeneration(const std::string& id, const CallOptions& options) {
  v1::CancelGenerationRequest request;
  request.set_id(id);
  return Call(*generation_stub_, &v1::ImageGenerationService::Stub::CancelGeneration, request, options)
      .status();
}

absl::StatusOr<v1::Generation> ImageClient::GetGeneration(const std::string& id, bool include_images,
                                                          const CallOptions& options) {
  v1::GetGenerationRequest request;
  request.set_id(id);
  request.set_include_images(include_images);
  return Call(*generation_stub_, &v1::ImageGenerationService::Stub::GetGeneration, request, options);
}

absl::StatusOr<v1::ListGenerationsResponse> ImageClient::ListGenerations(
    const v1::ListGenerationsRequest& request, const CallOptions& options) {
  return Call(*generation_stub_, &v1::ImageGenerationService::Stub::ListGenerations, request, options);
}

absl::StatusOr<v1::EmbedTextResponse> ImageClient::EmbedText(const v1::EmbedTextRequest& request,
                                                             const CallOptions& options) {
  return Call(*embedding_stub_, &v1::EmbeddingService::Stub::EmbedText, request, options);
}

absl::StatusOr<v1::EmbedImagesResponse> ImageClient::EmbedImages(const v1::EmbedImagesRequest& request,
                                                                 const CallOptions& options) {
  return Call(*embedding_stub_, &v1::EmbeddingService::Stub::EmbedImages, request, options);
}

absl::StatusOr<v1::GenerateImageEmbeddingResponse> ImageClient::GenerateImageEmbedding(
    const v1::GenerateImageEmbeddingRequest& request, const CallOptions& options) {
  return Call(*embedding_stub_, &v1::EmbeddingService::Stub::GenerateImageEmbedding, request, options);
}

absl::StatusOr<v1::EncodeLatentsResponse> ImageClient::EncodeLatents(const v1::EncodeLatentsRequest& request,
                                                                     const CallOptions& options) {
  return Call(*embedding_stub_, &v1::EmbeddingService::Stub::EncodeLatents, request, options);
}

absl::StatusOr<v1::DecodeLatentsResponse> ImageClient::DecodeLatents(const v1::DecodeLatentsRequest& request,
                                                                     const CallOptions& options) {
  return Call(*embedding_stub_, &v1::EmbeddingService::Stub::DecodeLatents, request, options);
}

absl::StatusOr<v1::ListModelsResponse> ImageClient::ListModels(const CallOptions& options) {
  return Call(*model_stub_, &v1::ModelService::Stub::ListModels, v1::ListModelsRequest(), options);
}

absl::StatusOr<v1::Model> ImageClient::GetModel(const std::string& name, const CallOptions& options) {
  v1::GetModelRequest request;
  request.set_name(name);
  return Call(*model_stub_, &v1::ModelService::Stub::GetModel, request, options);
}

}  // namespace kandinsky::client
