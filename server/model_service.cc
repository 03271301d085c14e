#include "server/model_service.h"

#include "kandinsky/v1/model.grpc.pb.h"
#include "server/config.h"
#include "server/error_details.h"
#include "server/unary_call.h"

namespace kandinsky::server {
namespace {

RpcMethod MethodNamed(const char* name) { return {v1::ModelService::service_full_name(), name, "unary"}; }

}  // namespace

void AddModelService(const CallContext& context, const std::string& configured_name,
                     const std::function<ModelStanding()>& standing, RpcDispatcher& dispatcher) {
  // The standing first: a model that it says is ready has its engine.
  const auto describe = [context, configured_name, standing] {
    const ModelStanding now = standing();
    return DescribeModel(configured_name, now, context.limits, context.serving.engine());
  };
  AddUnary<v1::ListModelsRequest, v1::ListModelsResponse>(
      MethodNamed("ListModels"), context, dispatcher,
      [describe](const grpc::ServerContextBase&, const v1::ListModelsRequest&,
                 v1::ListModelsResponse& response) {
        *response.add_models() = describe();
        return grpc::Status::OK;
      });
  AddUnary<v1::GetModelRequest, v1::Model>(
      MethodNamed("GetModel"), context, dispatcher,
      [describe](const grpc::ServerContextBase&, const v1::GetModelRequest& request, v1::Model& response) {
        if (!request.name().empty() && !IsValidName(request.name())) {
          return InvalidRequestError({{"name", "must have 1 to 128 characters of A-Z a-z 0-9 . _ -"}});
        }
        response = describe();
        const bool found = request.name().empty() || request.name() == response.name();
        return found ? grpc::Status::OK : NotFoundError("model", request.name());
      });
}

}  // namespace kandinsky::server
