#pragma once

#include <google/protobuf/message.h>

#include <string>

#include "absl/status/status.h"

namespace kandinsky {

// A configuration is a protobuf message; what a program may configure is what its message has. The functions
// below work on any message.

enum class ConfigFormat { kTextProto, kJson };

// Replaces `config` by what `text` says; fields that are not in the text stay unset. INVALID_ARGUMENT with
// the place of the error for anything that is not a well-formed message of its type, unknown fields included.
absl::Status ParseMessage(const std::string& text, ConfigFormat format, google::protobuf::Message& config);

// ParseMessage of a file of at most 1 MiB; its extension tells the format: .json, or .textproto, .txtpb,
// .pbtxt. Errors begin with the path. Also the errors of ReadFile.
absl::Status ReadMessageFile(const std::string& path, google::protobuf::Message& config);

// Applies "path=value", e.g. "engine.max_batch_rows=4": path is the dotted name of a field that is no group,
// value a number, a text, true or false, or the name of an enum value; for a list of texts the whole list,
// its entries separated by commas. A group on the way is made when it is absent. INVALID_ARGUMENT naming the
// override otherwise, and `config` stays as it was.
absl::Status OverrideField(const std::string& override_text, google::protobuf::Message& config);

// The config as text proto, one field a line; ParseMessage reads it back.
std::string PrintMessage(const google::protobuf::Message& config);

}  // namespace kandinsky
