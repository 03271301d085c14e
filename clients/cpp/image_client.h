#pragma once

#include <grpcpp/channel.h>
#include <grpcpp/client_context.h>

#include <functional>
#include <memory>
#include <mutex>
#include <string>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "kandinsky/v1/embedding.grpc.pb.h"
#include "kandinsky/v1/image_generation.grpc.pb.h"
#include "kandinsky/v1/model.grpc.pb.h"

namespace kandinsky::client {

// Ends a call from another thread. Serves one call at a time and may be cancelled before, during or after it;
// once cancelled it stays so. Thread-safe.
class Cancellation {
 public:
  void Cancel();
  bool cancelled() const;
  // Whether a call has begun with it.
  bool called() const;

 private:
  friend class ImageClient;
  class Scope;

  mutable std::mutex mutex_;
  bool cancelled_ = false;
  bool called_ = false;
  grpc::ClientContext* context_ = nullptr;  // of the call under way
};

// Settings of one call.
struct CallOptions {
  // From now to the end of the call; the server shortens it to its own limit. Infinite: the server's default.
  absl::Duration timeout = absl::InfiniteDuration();
  // May be null; outlives the call.
  Cancellation* cancellation = nullptr;
  // Who calls (metadata x-client-id): 1 to 128 characters of A-Z a-z 0-9 . _ -  Empty: not said.
  std::string client_id = {};
};

// Receives the events of ImageClient::Generate, on the calling thread. Any of them may be empty.
struct GenerateCallbacks {
  std::function<void(const v1::QueuedEvent&)> on_queued;
  std::function<void(const v1::StartedEvent&)> on_started;
  std::function<void(const v1::ProgressEvent&)> on_progress;
  std::function<void(const v1::PreviewEvent&)> on_preview;
  // A whole image or tensor of latents, its parts joined.
  std::function<void(v1::GeneratedImage)> on_image;
};

// Calls a kandinsky server. Errors are those of the services (see image_generation.proto) with a message for
// people that names fields and rules; DetailsOf (rich_error.h) has the parts, among them how long to wait
// before a new attempt. Nothing is tried again by itself. Every call blocks until its end. Thread-safe.
class ImageClient {
 public:
  // What a channel must be able to receive for every answer, in bytes: the float pixels of the largest image
  // (2048 x 2048 x 3) are 48 MiB. gRPC's own limit is 4 MiB.
  static constexpr int kMaxReceiveMessageBytes = 64 << 20;

  // With a channel whose limit is smaller, larger answers are RESOURCE_EXHAUSTED.
  explicit ImageClient(const std::shared_ptr<grpc::Channel>& channel);

  // A client of a plaintext server at "host:port", on a channel with this limit. Connects with the first
  // call.
  static ImageClient Connect(const std::string& address);

  // Makes images, by any task, and tells how it goes. DATA_LOSS when parts of an image are missing.
  absl::StatusOr<v1::GenerationSummary> Generate(const v1::GenerateRequest& request,
                                                 const GenerateCallbacks& callbacks,
                                                 const CallOptions& options = {});

  // The same as one answer, for few small images.
  absl::StatusOr<v1::GenerateImagesResponse> GenerateImages(const v1::GenerateRequest& request,
                                                            const CallOptions& options = {});

  // Ends the request `id` of this client. NOT_FOUND when it is not live.
  absl::Status CancelGeneration(const std::string& id, const CallOptions& options = {});

  // Where the request `id` of this client stands, with its finished images if `include_images`. NOT_FOUND
  // when it is neither live nor kept.
  absl::StatusOr<v1::Generation> GetGeneration(const std::string& id, bool include_images = false,
                                               const CallOptions& options = {});

  // One page of the requests that are live or kept.
  absl::StatusOr<v1::ListGenerationsResponse> ListGenerations(const v1::ListGenerationsRequest& request,
                                                              const CallOptions& options = {});

  // CLIP text embeddings, one per text.
  absl::StatusOr<v1::EmbedTextResponse> EmbedText(const v1::EmbedTextRequest& request,
                                                  const CallOptions& options = {});

  // CLIP image embeddings, one per image file.
  absl::StatusOr<v1::EmbedImagesResponse> EmbedImages(const v1::EmbedImagesRequest& request,
                                                      const CallOptions& options = {});

  // What the diffusion prior makes of a prompt, one per seed; for GenerateRequest.image_embedding.
  absl::StatusOr<v1::GenerateImageEmbeddingResponse> GenerateImageEmbedding(
      const v1::GenerateImageEmbeddingRequest& request, const CallOptions& options = {});

  // An image file, or pixels [3, height, width] in -1..1, to latents [4, height / 8, width / 8].
  absl::StatusOr<v1::EncodeLatentsResponse> EncodeLatents(const v1::EncodeLatentsRequest& request,
                                                          const CallOptions& options = {});

  // Latents to an image file, or to pixels [3, height, width], about -1..1.
  absl::StatusOr<v1::DecodeLatentsResponse> DecodeLatents(const v1::DecodeLatentsRequest& request,
                                                          const CallOptions& options = {});

  // What the server has loaded, what it can do and how it is; also while it is being loaded.
  absl::StatusOr<v1::ListModelsResponse> ListModels(const CallOptions& options = {});

  // The model `name` alone; "" is the server's. NOT_FOUND when there is none of this name.
  absl::StatusOr<v1::Model> GetModel(const std::string& name, const CallOptions& options = {});

 private:
  // `method` of `stub` with one request and one answer.
  template <typename Stub, typename Request, typename Response>
  static absl::StatusOr<Response> Call(Stub& stub,
                                       grpc::Status (Stub::*method)(grpc::ClientContext*, const Request&,
                                                                    Response*),
                                       const Request& request, const CallOptions& options);

  std::unique_ptr<v1::ImageGenerationService::Stub> generation_stub_;
  std::unique_ptr<v1::EmbeddingService::Stub> embedding_stub_;
  std::unique_ptr<v1::ModelService::Stub> model_stub_;
};

}  // namespace kandinsky::client
