#include "server/served_model.h"

#include <algorithm>
#include <vector>

#include "server/error_details.h"

namespace kandinsky {

grpc::Status CheckServed(const Capabilities& capabilities, const std::string& model,
                         const std::string& adapter) {
  if (!model.empty() && model != capabilities.model_name) return NotFoundError("model", model);
  const std::vector<std::string>& adapters = capabilities.adapters;
  if (!adapter.empty() && std::find(adapters.begin(), adapters.end(), adapter) == adapters.end()) {
    return NotFoundError("adapter", adapter);
  }
  return grpc::Status::OK;
}

}  // namespace kandinsky
