#include "server/served_model.h"

#include "server/error_details.h"

namespace kandinsky::server {

grpc::Status CheckServed(const Capabilities& capabilities, const std::string& model,
                         const std::string& adapter) {
  if (!model.empty() && model != capabilities.model_name) return NotFoundError("model", model);
  if (!adapter.empty() && !HasAdapter(capabilities, adapter)) return NotFoundError("adapter", adapter);
  return grpc::Status::OK;
}

}  // namespace kandinsky::server
