#include "server/image_generation_service.h"

#include <functional>
#include <memory>

#include "kandinsky/v1/image_generation.grpc.pb.h"
#include "server/generate_images_reactor.h"
#include "server/generate_reactor.h"
#include "server/generation_methods.h"
#include "server/unary_call.h"

namespace kandinsky::server {
namespace {

RpcMethod MethodNamed(const char* name, const char* type = "unary") {
  return {v1::ImageGenerationService::service_full_name(), name, type};
}

// A method that makes images.
template <typename Reactor>
void AddGeneration(const RpcMethod& method, const CallContext& context, RpcDispatcher& dispatcher) {
  dispatcher.Add(method, [context, method](grpc::GenericCallbackServerContext& rpc) {
    return IncomingCall::Run(std::make_shared<Reactor>(context, method, rpc));
  });
}

}  // namespace

void AddImageGenerationService(const CallContext& context, const std::string& operator_client_id,
                               RpcDispatcher& dispatcher) {
  AddGeneration<GenerateReactor>(MethodNamed("Generate", "server_stream"), context, dispatcher);
  AddGeneration<GenerateImagesReactor>(MethodNamed("GenerateImages"), context, dispatcher);
  const auto methods = std::make_shared<const GenerationMethods>(context, operator_client_id);
  AddUnary<v1::CancelGenerationRequest, v1::CancelGenerationResponse>(
      MethodNamed("CancelGeneration"), context, dispatcher,
      std::bind_front(&GenerationMethods::Cancel, methods));
  AddUnary<v1::GetGenerationRequest, v1::Generation>(MethodNamed("GetGeneration"), context, dispatcher,
                                                     std::bind_front(&GenerationMethods::Get, methods));
  AddUnary<v1::ListGenerationsRequest, v1::ListGenerationsResponse>(
      MethodNamed("ListGenerations"), context, dispatcher,
      std::bind_front(&GenerationMethods::List, methods));
}

}  // namespace kandinsky::server
