#include "server/reflection_answers.h"

#include <google/protobuf/descriptor.pb.h>
#include <grpcpp/support/status_code_enum.h>

#include <algorithm>
#include <set>

#include "grpc/reflection/v1/reflection.pb.h"
#include "grpc/reflection/v1alpha/reflection.pb.h"

namespace kandinsky::server {
namespace {

using google::protobuf::DescriptorPool;
using google::protobuf::FileDescriptor;

// `file` after all that it imports, each once.
void AddWithImports(const FileDescriptor& file, std::set<const FileDescriptor*>& seen,
                    std::vector<const FileDescriptor*>& files) {
  if (!seen.insert(&file).second) return;
  for (int i = 0; i < file.dependency_count(); ++i) AddWithImports(*file.dependency(i), seen, files);
  files.push_back(&file);
}

template <typename Response>
void SetError(const std::string& message, Response& response) {
  response.mutable_error_response()->set_error_code(static_cast<int>(grpc::StatusCode::NOT_FOUND));
  response.mutable_error_response()->set_error_message(message);
}

template <typename Response>
void SetFile(const FileDescriptor* file, const std::string& name, Response& response) {
  if (file == nullptr) return SetError("the server does not know " + name, response);
  std::set<const FileDescriptor*> seen;
  std::vector<const FileDescriptor*> files;
  AddWithImports(*file, seen, files);
  std::reverse(files.begin(), files.end());  // the one that was asked for first
  for (const FileDescriptor* each : files) {
    google::protobuf::FileDescriptorProto proto;
    each->CopyTo(&proto);
    response.mutable_file_descriptor_response()->add_file_descriptor_proto(proto.SerializeAsString());
  }
}

// The interface is proto3, whose messages have no extensions.
template <typename Response>
void SetExtensionNumbers(const std::string& type, const DescriptorPool& pool, Response& response) {
  if (pool.FindMessageTypeByName(type) == nullptr)
    return SetError("the server does not know " + type, response);
  response.mutable_all_extension_numbers_response()->set_base_type_name(type);
}

}  // namespace

template <typename Request, typename Response>
Response AnswerReflection(const Request& request, const std::vector<std::string>& services,
                          const DescriptorPool& pool) {
  Response response;
  response.set_valid_host(request.host());
  *response.mutable_original_request() = request;
  switch (request.message_request_case()) {
    case Request::kFileByFilename:
      SetFile(pool.FindFileByName(request.file_by_filename()), request.file_by_filename(), response);
      break;
    case Request::kFileContainingSymbol:
      SetFile(pool.FindFileContainingSymbol(request.file_containing_symbol()),
              request.file_containing_symbol(), response);
      break;
    case Request::kFileContainingExtension:
      SetError("the server knows no extensions of " + request.file_containing_extension().containing_type(),
               response);
      break;
    case Request::kAllExtensionNumbersOfType:
      SetExtensionNumbers(request.all_extension_numbers_of_type(), pool, response);
      break;
    case Request::kListServices:
      for (const std::string& service : services) {
        response.mutable_list_services_response()->add_service()->set_name(service);
      }
      break;
    case Request::MESSAGE_REQUEST_NOT_SET:
      response.mutable_error_response()->set_error_code(static_cast<int>(grpc::StatusCode::INVALID_ARGUMENT));
      response.mutable_error_response()->set_error_message("the request asks for nothing");
  }
  return response;
}

template grpc::reflection::v1::ServerReflectionResponse AnswerReflection(
    const grpc::reflection::v1::ServerReflectionRequest& request, const std::vector<std::string>& services,
    const DescriptorPool& pool);
template grpc::reflection::v1alpha::ServerReflectionResponse AnswerReflection(
    const grpc::reflection::v1alpha::ServerReflectionRequest& request,
    const std::vector<std::string>& services, const DescriptorPool& pool);

}  // namespace kandinsky::server
