#include "pipeline/family.h"

#include "pipeline/request_rules.h"

namespace kandinsky {

std::vector<Violation> Family::Check(const Capabilities& capabilities, const GenerationRequest& request,
                                     const RequestLimits& limits) const {
  return CheckRequest(capabilities, request, limits);
}

}  // namespace kandinsky
