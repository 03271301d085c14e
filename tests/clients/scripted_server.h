#pragma once

#include <grpcpp/server.h>

#include <map>
#include <memory>
#include <string>
#include <vector>

#include "base/mutex.h"
#include "kandinsky/v1/embedding.grpc.pb.h"
#include "kandinsky/v1/image_generation.grpc.pb.h"
#include "kandinsky/v1/model.grpc.pb.h"

namespace kandinsky::client {

// What a ScriptedServer answers.
struct Script {
  grpc::Status status = {};                    // of every call, after its answer
  std::vector<v1::GenerateEvent> events = {};  // of Generate
  bool repeat = false;  // Generate sends its events again and again until it is cancelled
  std::vector<v1::Generation> generations =
      {};  // for GetGeneration by id, and for ListGenerations in its pages
  // Of the calls of EmbeddingService.
  v1::EmbedTextResponse embed_text = {};
  v1::EmbedImagesResponse embed_images = {};
  v1::GenerateImageEmbeddingResponse generate_image_embedding = {};
  v1::EncodeLatentsResponse encode_latents = {};
  v1::DecodeLatentsResponse decode_latents = {};
  std::vector<v1::Model> models = {};  // for ListModels, and for GetModel by name
};

// What a ScriptedServer was asked, last of each kind.
struct ReceivedCalls {
  std::string client_id;  // metadata x-client-id
  v1::GenerateRequest generate;
  v1::GetGenerationRequest get;
  std::vector<v1::ListGenerationsRequest> lists;  // all of them
  v1::CancelGenerationRequest cancel;
  v1::EmbedTextRequest embed_text;
  v1::EmbedImagesRequest embed_images;
  v1::GenerateImageEmbeddingRequest generate_image_embedding;
  v1::EncodeLatentsRequest encode_latents;
  v1::DecodeLatentsRequest decode_latents;
  v1::GetModelRequest get_model;
};

// A server on a free port of the loopback interface that answers from a script. It takes messages of any
// size.
class ScriptedServer : private v1::ImageGenerationService::Service,
                       private v1::EmbeddingService::Service,
                       private v1::ModelService::Service {
 public:
  explicit ScriptedServer(Script script);
  ~ScriptedServer() override;

  const std::string& address() const { return address_; }

  ReceivedCalls received() const EXCLUDES(mutex_);

  // Calls so far.
  int calls() const EXCLUDES(mutex_);

  // Blocks until a call has come.
  void WaitForCall() EXCLUDES(mutex_);

 private:
  grpc::Status Generate(grpc::ServerContext* context, const v1::GenerateRequest* request,
                        grpc::ServerWriter<v1::GenerateEvent>* writer) override;
  grpc::Status CancelGeneration(grpc::ServerContext* context, const v1::CancelGenerationRequest* request,
                                v1::CancelGenerationResponse* response) override;
  grpc::Status GetGeneration(grpc::ServerContext* context, const v1::GetGenerationRequest* request,
                             v1::Generation* response) override;
  grpc::Status ListGenerations(grpc::ServerContext* context, const v1::ListGenerationsRequest* request,
                               v1::ListGenerationsResponse* response) override;
  grpc::Status EmbedText(grpc::ServerContext* context, const v1::EmbedTextRequest* request,
                         v1::EmbedTextResponse* response) override;
  grpc::Status EmbedImages(grpc::ServerContext* context, const v1::EmbedImagesRequest* request,
                           v1::EmbedImagesResponse* response) override;
  grpc::Status GenerateImageEmbedding(grpc::ServerContext* context,
                                      const v1::GenerateImageEmbeddingRequest* request,
                                      v1::GenerateImageEmbeddingResponse* response) override;
  grpc::Status EncodeLatents(grpc::ServerContext* context, const v1::EncodeLatentsRequest* request,
                             v1::EncodeLatentsResponse* response) override;
  grpc::Status DecodeLatents(grpc::ServerContext* context, const v1::DecodeLatentsRequest* request,
                             v1::DecodeLatentsResponse* response) override;
  grpc::Status ListModels(grpc::ServerContext* context, const v1::ListModelsRequest* request,
                          v1::ListModelsResponse* response) override;
  grpc::Status GetModel(grpc::ServerContext* context, const v1::GetModelRequest* request,
                        v1::Model* response) override;

  void Note(const grpc::ServerContext& context) REQUIRES(mutex_);

  const Script script_;
  std::string address_;
  std::unique_ptr<grpc::Server> server_;
  mutable Mutex mutex_;
  ConditionVariable called_;
  int calls_ GUARDED_BY(mutex_) = 0;
  ReceivedCalls received_ GUARDED_BY(mutex_);
};

}  // namespace kandinsky::client
