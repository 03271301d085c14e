#include "config/config_fields.h"

#include <cmath>
#include <optional>
#include <vector>

#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "absl/strings/str_split.h"
#include "base/status_macros.h"

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
    case FieldDescriptor::CPPTYPE_UINT64: {
      uint64_t number = 0;
      if (!absl::SimpleAtoi(value, &number))
        return absl::InvalidArgumentError("not an unsigned 64-bit integer");
      reflection.SetUInt64(place.message, place.field, number);
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
        return absl::InvalidArgumentError(
            absl::StrCat("not one of ", EnumValueNames(*place.field->enum_type())));
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

// Whole numbers in full, others with six digits.
std::string Number(double value) {
  const bool whole = std::abs(value) < 1e15 && value == std::floor(value);
  return whole ? absl::StrCat(static_cast<int64_t>(value)) : absl::StrCat(value);
}

// The number with the dotted name `path`, which exists; nothing when it or a group that it is in is absent.
std::optional<double> NumberAt(const char* path, const Message& root) {
  const Message* message = &root;
  const FieldDescriptor* field = nullptr;
  for (const absl::string_view name : absl::StrSplit(path, '.')) {
    if (field != nullptr) message = &message->GetReflection()->GetMessage(*message, field);
    field = message->GetDescriptor()->FindFieldByName(std::string(name));
    if (!message->GetReflection()->HasField(*message, field)) return std::nullopt;
  }
  const google::protobuf::Reflection& reflection = *message->GetReflection();
  switch (field->cpp_type()) {
    case FieldDescriptor::CPPTYPE_INT32:
      return reflection.GetInt32(*message, field);
    case FieldDescriptor::CPPTYPE_INT64:
      return static_cast<double>(reflection.GetInt64(*message, field));
    default:
      return reflection.GetDouble(*message, field);
  }
}

absl::Status CheckEnumsBelow(const Message& message, const std::string& path) {
  const google::protobuf::Reflection& reflection = *message.GetReflection();
  std::vector<const FieldDescriptor*> fields;
  reflection.ListFields(message, &fields);
  for (const FieldDescriptor* field : fields) {
    const std::string name = absl::StrCat(path, path.empty() ? "" : ".", field->name());
    if (field->cpp_type() == FieldDescriptor::CPPTYPE_ENUM && !field->is_repeated()) {
      const int value = reflection.GetEnumValue(message, field);
      if (field->enum_type()->FindValueByNumber(value) == nullptr) {
        return absl::InvalidArgumentError(absl::StrCat(name, " is the unknown number ", value,
                                                       ", must be one of ",
                                                       EnumValueNames(*field->enum_type())));
      }
    }
    if (field->cpp_type() != FieldDescriptor::CPPTYPE_MESSAGE || field->is_map()) continue;
    if (!field->is_repeated()) {
      RETURN_IF_ERROR(CheckEnumsBelow(reflection.GetMessage(message, field), name));
      continue;
    }
    for (int i = 0; i < reflection.FieldSize(message, field); ++i) {
      RETURN_IF_ERROR(
          CheckEnumsBelow(reflection.GetRepeatedMessage(message, field, i), absl::StrCat(name, "[", i, "]")));
    }
  }
  return absl::OkStatus();
}

}  // namespace

absl::Status CheckEnums(const Message& root) { return CheckEnumsBelow(root, ""); }

absl::StatusOr<ConfigField> FindField(const std::string& path, Message& root) {
  ConfigField place{&root, nullptr};
  for (const absl::string_view name : absl::StrSplit(path, '.')) {
    if (place.field != nullptr) {
      if (place.field->cpp_type() != FieldDescriptor::CPPTYPE_MESSAGE) {
        return absl::InvalidArgumentError(absl::StrCat(place.field->name(), " has no fields"));
      }
      if (place.field->is_repeated()) {
        return absl::InvalidArgumentError(absl::StrCat(place.field->name(), " is a list of groups"));
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

std::string EnumValueNames(const google::protobuf::EnumDescriptor& type) {
  std::vector<std::string> names;
  for (int i = 0; i < type.value_count(); ++i) {
    if (type.value(i)->number() != 0) names.push_back(type.value(i)->name());
  }
  return absl::StrJoin(names, ", ");
}

absl::Status CheckRanges(absl::Span<const FieldRange> ranges, const Message& root) {
  for (const FieldRange& range : ranges) {
    const std::optional<double> value = NumberAt(range.path, root);
    if (!value.has_value()) continue;
    // Written so that a NaN is refused too.
    if (!(*value >= range.min && *value <= range.max)) {
      return absl::InvalidArgumentError(absl::StrCat(range.path, " is ", Number(*value), ", must be ",
                                                     Number(range.min), " to ", Number(range.max)));
    }
  }
  return absl::OkStatus();
}

}  // namespace kandinsky
