#include "config/config_text.h"

#include <google/protobuf/descriptor.h>
#include <google/protobuf/io/tokenizer.h>
#include <google/protobuf/text_format.h>
#include <google/protobuf/util/json_util.h>

#include <map>
#include <memory>
#include <string>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "base/mapped_file.h"
#include "base/status_macros.h"
#include "config/config_fields.h"

namespace kandinsky {

using google::protobuf::Message;

namespace {

constexpr size_t kMaxConfigBytes = 1 << 20;

class FirstError : public google::protobuf::io::ErrorCollector {
 public:
  void AddError(int line, google::protobuf::io::ColumnNumber column, const std::string& message) override {
    if (text_.empty()) text_ = absl::StrCat(line + 1, ":", column + 1, ": ", message);
  }
  const std::string& text() const { return text_; }

 private:
  std::string text_;
};

using google::protobuf::Descriptor;
using google::protobuf::EnumDescriptor;
using google::protobuf::FieldDescriptor;

// The enum fields called `name` in `type` and the groups below it, by their dotted names.
void FindEnumFields(const Descriptor& type, absl::string_view name, const std::string& path,
                    std::map<std::string, const EnumDescriptor*>& found) {
  for (int i = 0; i < type.field_count(); ++i) {
    const FieldDescriptor& field = *type.field(i);
    const std::string field_path = absl::StrCat(path, path.empty() ? "" : ".", field.name());
    if (field.enum_type() != nullptr && field.name() == name) found[field_path] = field.enum_type();
    if (field.message_type() != nullptr) FindEnumFields(*field.message_type(), name, field_path, found);
  }
}

// `text` between the last `before` and the `after` that follows; empty when there is none.
std::string Between(absl::string_view text, absl::string_view before, absl::string_view after) {
  const size_t begin = text.rfind(before);
  if (begin == absl::string_view::npos) return "";
  text.remove_prefix(begin + before.size());
  return std::string(text.substr(0, text.find(after)));
}

// protobuf's message for an enum value that does not exist names its field (text) or type (JSON), but not the
// values that do. Other messages stay as they are.
std::string WithEnumValues(std::string error, const Message& config) {
  if (absl::StrContains(error, "Unknown enumeration value of ")) {
    std::map<std::string, const EnumDescriptor*> fields;
    FindEnumFields(*config.GetDescriptor(), Between(error, "for field \"", "\""), "", fields);
    for (const auto& [path, type] : fields) {
      absl::StrAppend(&error, " ", path, " is one of ", EnumValueNames(*type), ".");
    }
  }
  const std::string type_name = Between(error, "for type type.googleapis.com/", " ");
  const EnumDescriptor* const type =
      type_name.empty() ? nullptr : config.GetDescriptor()->file()->pool()->FindEnumTypeByName(type_name);
  if (type != nullptr) absl::StrAppend(&error, ", one of ", EnumValueNames(*type));
  return error;
}

}  // namespace

absl::Status ParseMessage(const std::string& text, ConfigFormat format, Message& config) {
  config.Clear();
  if (format == ConfigFormat::kJson) {
    google::protobuf::util::JsonParseOptions options;
    options.ignore_unknown_fields = false;
    const auto status = google::protobuf::util::JsonStringToMessage(text, &config, options);
    if (status.ok()) return absl::OkStatus();
    return absl::InvalidArgumentError(WithEnumValues(status.message().as_string(), config));
  }
  FirstError error;
  google::protobuf::TextFormat::Parser parser;
  parser.RecordErrorsTo(&error);
  if (parser.ParseFromString(text, &config)) return absl::OkStatus();
  return absl::InvalidArgumentError(WithEnumValues(error.text(), config));
}

absl::Status ReadMessageFile(const std::string& path, Message& config) {
  ConfigFormat format = ConfigFormat::kTextProto;
  if (absl::EndsWith(path, ".json")) {
    format = ConfigFormat::kJson;
  } else if (!absl::EndsWith(path, ".textproto") && !absl::EndsWith(path, ".txtpb") &&
             !absl::EndsWith(path, ".pbtxt")) {
    return absl::InvalidArgumentError(
        absl::StrCat(path, ": a configuration file ends in .textproto, .txtpb, .pbtxt or .json"));
  }
  ASSIGN_OR_RETURN(const std::string text, ReadFile(path, kMaxConfigBytes));
  const absl::Status status = ParseMessage(text, format, config);
  if (!status.ok()) return absl::InvalidArgumentError(absl::StrCat(path, ":", status.message()));
  return absl::OkStatus();
}

absl::Status OverrideField(const std::string& override_text, Message& config) {
  const size_t equals = override_text.find('=');
  const auto explain = [&](absl::string_view what) {
    return absl::InvalidArgumentError(absl::StrCat("--set ", override_text, ": ", what));
  };
  if (equals == std::string::npos || equals == 0) return explain("must be path=value");
  const std::unique_ptr<Message> changed(config.New());
  changed->CopyFrom(config);
  const auto place = FindField(override_text.substr(0, equals), *changed);
  if (!place.ok()) return explain(place.status().message());
  const absl::Status set = SetField(*place, override_text.substr(equals + 1));
  if (!set.ok()) return explain(set.message());
  config.GetReflection()->Swap(&config, changed.get());
  return absl::OkStatus();
}

std::string PrintMessage(const Message& config) {
  std::string text;
  google::protobuf::TextFormat::PrintToString(config, &text);
  return text;
}

}  // namespace kandinsky
