#pragma once

#include <google/protobuf/descriptor.h>
#include <google/protobuf/message.h>

#include <string>

#include "absl/status/status.h"
#include "absl/status/statusor.h"

namespace kandinsky {

// A field inside a (nested) message that is no message itself. Both pointers are set.
struct ConfigField {
  google::protobuf::Message* message = nullptr;
  const google::protobuf::FieldDescriptor* field = nullptr;
};

// The field with the dotted name `path` below `root`, which the result points into. INVALID_ARGUMENT when
// there is none, or it is a group of fields.
absl::StatusOr<ConfigField> FindField(const std::string& path, google::protobuf::Message& root);

// Sets a field from text, see ApplyOverride (server/config.h). INVALID_ARGUMENT, naming the type, when the
// text is no value of it.
absl::Status SetField(const ConfigField& place, const std::string& value);

// The value of a field that is a number.
double NumberAt(const ConfigField& place);

}  // namespace kandinsky
