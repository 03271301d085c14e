#pragma once

#include <grpcpp/server.h>

#include <map>
#include <memory>
#include <string>
#include <vector>

#include "base/mutex.h"
#include "kandinsky/v1/image_generation.grpc.pb.h"

namespace kandinsky {

// What a ScriptedServer answers.
struct Script {
  grpc::Status status = {};                    // of every call, after its answer
  std::vector<v1::GenerateEvent> events = {};  // of Generate
  bool repeat = false;  // Generate sends its events again and again until it is cancelled
  std::vector<v1::Generation> generations =
      {};  // for GetGeneration by id, and for ListGenerations in its pages
};

// What a ScriptedServer was asked, last of each kind.
struct ReceivedCalls {
  std::string client_id;  // metadata x-client-id
  v1::GenerateRequest generate;
  v1::GetGenerationRequest get;
  std::vector<v1::ListGenerationsRequest> lists;  // all of them
  v1::CancelGenerationRequest cancel;
};

// A server on a free port of the loopback interface that answers from a script.
class ScriptedServer : private v1::ImageGenerationService::Service {
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

  void Note(const grpc::ServerContext& context) REQUIRES(mutex_);

  const Script script_;
  std::string address_;
  std::unique_ptr<grpc::Server> server_;
  mutable Mutex mutex_;
  ConditionVariable called_;
  int calls_ GUARDED_BY(mutex_) = 0;
  ReceivedCalls received_ GUARDED_BY(mutex_);
};

}  // namespace kandinsky
