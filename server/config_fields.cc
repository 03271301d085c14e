#include "server/config_fields.h"

#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"

namespace kandinsky {

using google::protobuf::FieldDescriptor;
using google::protobuf::Message;

namespace {

absl::Status SetScalar(const ConfigField& place, const std::string& value) {
  const google::protobuf::Reflection& reflection = *place.message->GetReflection();
  switch (place.field->cpp_type()) {
    case FieldDescriptor::CPPTYPE_INT32: {
      int32_t number = 0;
      if (!absl::SimpleAtoi(value, &number)) return absl::InvalidArgumentError("not a 32-bit integer");
      reflection.SetInt32(place.message, place.field, number);
      return absl::OkStatus();
    }
    case FieldDescriptor::CPPTYPE_INT64: {
      int64_t number = 0;
      if (!absl::SimpleAtoi(value, &number)) return absl::InvalidArgumentError("not a 64-bit integer");
      reflection.SetInt64(place.message, place.field, number);
      return absl::OkStatus();
    }
    case FieldDescriptor::CPPTYPE_DOUBLE: {
      double number = 0;
      if (!absl::SimpleAtod(value, &number)) return absl::InvalidArgumentError("not a number");
      reflection.SetDouble(place.message, place.field, number);
      return absl::OkStatus();
    }
    case FieldDescriptor::CPPTYPE_BOOL:
      if (value != "true" && value != "false") return absl::InvalidArgumentError("not true or false");
      reflection.SetBool(place.message, place.field, value == "true");
      return absl::OkStatus();
    case FieldDescriptor::CPPTYPE_STRING:
      reflection.SetString(place.message, place.field, value);
      return absl::OkStatus();
    case FieldDescriptor::CPPTYPE_ENUM: {
      const auto* number = place.field->enum_type()->FindValueByName(value);
      if (number == nullptr) {
        return absl::InvalidArgumentError(absl::StrCat("not a value of ", place.field->enum_type()->name()));
      }
      reflection.SetEnum(place.message, place.field, number);
      return absl::OkStatus();
    }
    default:
      return absl::InvalidArgumentError("a field of this type cannot be set");
  }
}

// Replaces the whole list by the parts of `value` between commas; an empty value empties it.
absl::Status SetList(const ConfigField& place, const std::string& value) {
  if (place.field->cpp_type() != FieldDescriptor::CPPTYPE_STRING) {
    return absl::InvalidArgumentError("a field of this type cannot be set");
  }
  const google::protobuf::Reflection& reflection = *place.message->GetReflection();
  reflection.ClearField(place.message, place.field);
  if (value.empty()) return absl::OkStatus();
  for (const absl::string_view part : absl::StrSplit(value, ',')) {
    reflection.AddString(place.message, place.field, std::string(part));
  }
  return absl::OkStatus();
}

}  // namespace

absl::StatusOr<ConfigField> FindField(const std::string& path, Message& root) {
  ConfigField place{&root, nullptr};
  for (const absl::string_view name : absl::StrSplit(path, '.')) {
    if (place.field != nullptr) {
      if (place.field->cpp_type() != FieldDescriptor::CPPTYPE_MESSAGE) {
        return absl::InvalidArgumentError(absl::StrCat(place.field->name(), " has no fields"));
      }
      place.message = place.message->GetReflection()->MutableMessage(place.message, place.field);
    }
    place.field = place.message->GetDescriptor()->FindFieldByName(std::string(name));
    if (place.field == nullptr) {
      return absl::InvalidArgumentError(
          absl::StrCat("no field \"", name, "\" in ", place.message->GetDescriptor()->name()));
    }
  }
  if (place.field->cpp_type() == FieldDescriptor::CPPTYPE_MESSAGE) {
    return absl::InvalidArgumentError(
        absl::StrCat(place.field->name(), " is a group of fields, not a value"));
  }
  return place;
}

absl::Status SetField(const ConfigField& place, const std::string& value) {
  return place.field->is_repeated() ? SetList(place, value) : SetScalar(place, value);
}

double NumberAt(const ConfigField& place) {
  const google::protobuf::Reflection& reflection = *place.message->GetReflection();
  switch (place.field->cpp_type()) {
    case FieldDescriptor::CPPTYPE_INT32:
      return reflection.GetInt32(*place.message, place.field);
    case FieldDescriptor::CPPTYPE_INT64:
      return static_cast<double>(reflection.GetInt64(*place.message, place.field));
    default:
      return reflection.GetDouble(*place.message, place.field);
  }
}

}  // namespace kandinsky
