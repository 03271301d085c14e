#include "tests/clients/scripted_server.h"

#include <grpcpp/security/server_credentials.h>
#include <grpcpp/server_builder.h>

#include <algorithm>
#include <cstdlib>
#include <utility>

namespace kandinsky::client {

ScriptedServer::ScriptedServer(Script script) : script_(std::move(script)) {
  grpc::ServerBuilder builder;
  int port = 0;
  builder.AddListeningPort("127.0.0.1:0", grpc::InsecureServerCredentials(), &port);
  builder.SetMaxReceiveMessageSize(-1);
  builder.RegisterService(static_cast<v1::ImageGenerationService::Service*>(this));
  builder.RegisterService(static_cast<v1::EmbeddingService::Service*>(this));
  builder.RegisterService(static_cast<v1::ModelService::Service*>(this));
  server_ = builder.BuildAndStart();
  if (server_ == nullptr) std::abort();
  address_ = "127.0.0.1:" + std::to_string(port);
}

ScriptedServer::~ScriptedServer() {
  server_->Shutdown();
  server_->Wait();
  // Nobody is left. ThreadSanitizer cannot see that gRPC's threads have ended before this, but their last use
  // of the lock.
  MutexLock lock(mutex_);
}

ReceivedCalls ScriptedServer::received() const {
  MutexLock lock(mutex_);
  return received_;
}

int ScriptedServer::calls() const {
  MutexLock lock(mutex_);
  return calls_;
}

void ScriptedServer::WaitForCall() {
  MutexLock lock(mutex_);
  while (calls_ == 0) called_.Wait(mutex_);
}

void ScriptedServer::Note(const grpc::ServerContext& context) {
  const auto entry = context.client_metadata().find("x-client-id");
  received_.client_id =
      entry == context.client_metadata().end() ? "" : std::string(entry->second.data(), entry->second.size());
  ++calls_;
  called_.NotifyAll();
}

grpc::Status ScriptedServer::Generate(grpc::ServerContext* context, const v1::GenerateRequest* request,
                                      grpc::ServerWriter<v1::GenerateEvent>* writer) {
  {
    MutexLock lock(mutex_);
    received_.generate = *request;
    Note(*context);
  }
  bool open = true;
  do {
    for (const v1::GenerateEvent& event : script_.events) open = open && writer->Write(event);
  } while (script_.repeat && open);
  return script_.status;
}

grpc::Status ScriptedServer::CancelGeneration(grpc::ServerContext* context,
                                              const v1::CancelGenerationRequest* request,
                                              v1::CancelGenerationResponse*) {
  MutexLock lock(mutex_);
  received_.cancel = *request;
  Note(*context);
  return script_.status;
}

grpc::Status ScriptedServer::GetGeneration(grpc::ServerContext* context,
                                           const v1::GetGenerationRequest* request,
                                           v1::Generation* response) {
  MutexLock lock(mutex_);
  received_.get = *request;
  Note(*context);
  for (const v1::Generation& generation : script_.generations) {
    if (generation.request_id() == request->id()) *response = generation;
  }
  if (!request->include_images()) response->clear_images();
  return script_.status;
}

grpc::Status ScriptedServer::ListGenerations(grpc::ServerContext* context,
                                             const v1::ListGenerationsRequest* request,
                                             v1::ListGenerationsResponse* response) {
  MutexLock lock(mutex_);
  received_.lists.push_back(*request);
  Note(*context);
  // The token is the index of the next one.
  size_t index = static_cast<size_t>(std::atoi(request->page_token().c_str()));
  for (int i = 0; i < request->page_size() && index < script_.generations.size(); ++i, ++index) {
    *response->add_generations() = script_.generations[index];
  }
  if (index < script_.generations.size()) response->set_next_page_token(std::to_string(index));
  return script_.status;
}

grpc::Status ScriptedServer::EmbedText(grpc::ServerContext* context, const v1::EmbedTextRequest* request,
                                       v1::EmbedTextResponse* response) {
  MutexLock lock(mutex_);
  received_.embed_text = *request;
  Note(*context);
  *response = script_.embed_text;
  return script_.status;
}

grpc::Status ScriptedServer::EmbedImages(grpc::ServerContext* context, const v1::EmbedImagesRequest* request,
                                         v1::EmbedImagesResponse* response) {
  MutexLock lock(mutex_);
  received_.embed_images = *request;
  Note(*context);
  *response = script_.embed_images;
  return script_.status;
}

grpc::Status ScriptedServer::GenerateImageEmbedding(grpc::ServerContext* context,
                                                    const v1::GenerateImageEmbeddingRequest* request,
                                                    v1::GenerateImageEmbeddingResponse* response) {
  MutexLock lock(mutex_);
  received_.generate_image_embedding = *request;
  Note(*context);
  *response = script_.generate_image_embedding;
  return script_.status;
}

grpc::Status ScriptedServer::EncodeLatents(grpc::ServerContext* context,
                                           const v1::EncodeLatentsRequest* request,
                                           v1::EncodeLatentsResponse* response) {
  MutexLock lock(mutex_);
  received_.encode_latents = *request;
  Note(*context);
  *response = script_.encode_latents;
  return script_.status;
}

grpc::Status ScriptedServer::DecodeLatents(grpc::ServerContext* context,
                                           const v1::DecodeLatentsRequest* request,
                                           v1::DecodeLatentsResponse* response) {
  MutexLock lock(mutex_);
  received_.decode_latents = *request;
  Note(*context);
  *response = script_.decode_latents;
  return script_.status;
}

grpc::Status ScriptedServer::ListModels(grpc::ServerContext* context, const v1::ListModelsRequest*,
                                        v1::ListModelsResponse* response) {
  MutexLock lock(mutex_);
  Note(*context);
  for (const v1::Model& model : script_.models) *response->add_models() = model;
  return script_.status;
}

grpc::Status ScriptedServer::GetModel(grpc::ServerContext* context, const v1::GetModelRequest* request,
                                      v1::Model* response) {
  MutexLock lock(mutex_);
  received_.get_model = *request;
  Note(*context);
  for (const v1::Model& model : script_.models) {
    if (model.name() == request->name()) *response = model;
  }
  return script_.status;
}

}  // namespace kandinsky::client
