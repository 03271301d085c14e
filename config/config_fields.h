#pragma once

#include <google/protobuf/descriptor.h>
#include <google/protobuf/message.h>

#include <string>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/types/span.h"

namespace kandinsky {

// A field inside a (nested) message that is no message itself. Both pointers are set.
struct ConfigField {
  google::protobuf::Message* message = nullptr;
  const google::protobuf::FieldDescriptor* field = nullptr;
};

// The field with the dotted name `path` below `root`, which the result points into. INVALID_ARGUMENT when
// there is none, or it is a group of fields.
absl::StatusOr<ConfigField> FindField(const std::string& path, google::protobuf::Message& root);

// Sets a field from text, see OverrideField (config/config_text.h). INVALID_ARGUMENT, naming the type, when
// the text is no value of it.
absl::Status SetField(const ConfigField& place, const std::string& value);

// The values of an enum that a configuration may name, separated by commas; its zero value, which stands for
// "not set", is left out.
std::string EnumValueNames(const google::protobuf::EnumDescriptor& type);

// Checks that every enum field below `root` has a value with a name: text and JSON also take bare numbers.
// INVALID_ARGUMENT with one line that names field and values of the first that has not.
absl::Status CheckEnums(const google::protobuf::Message& root);

// A number and the closed interval that it must lie in.
struct FieldRange {
  const char* path;
  double min;
  double max;
};

// Checks the numbers below `root` against `ranges`, in their order. A field that has no value, or whose group
// is absent, is in order: what must be set is for the caller to say. INVALID_ARGUMENT with one line that
// names field, value and limits of the first that is not.
absl::Status CheckRanges(absl::Span<const FieldRange> ranges, const google::protobuf::Message& root);

}  // namespace kandinsky
