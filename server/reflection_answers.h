#pragma once

#include <google/protobuf/descriptor.h>

#include <string>
#include <vector>

namespace kandinsky::server {

// The answer of server reflection to `request` about `services` and everything in `pool`: an error inside it
// when what is asked for is not there. Request and Response are those of grpc.reflection.v1 or v1alpha, which
// are alike.
template <typename Request, typename Response>
Response AnswerReflection(const Request& request, const std::vector<std::string>& services,
                          const google::protobuf::DescriptorPool& pool);

}  // namespace kandinsky::server
