#include "server/field_checks.h"

#include <algorithm>
#include <bit>
#include <cstring>

#include "absl/strings/numbers.h"
#include "absl/strings/str_join.h"
#include "absl/strings/str_split.h"
#include "absl/strings/strip.h"
#include "base/white_space.h"
#include "server/config.h"
#include "server/prompt_text.h"

namespace kandinsky::server {
namespace {

static_assert(std::endian::native == std::endian::little, "the floats of the wire format are little-endian");

// Numbers of the fields and indices that a path leads through, to sort by.
std::vector<int> PlaceOf(const google::protobuf::Descriptor* message, const std::string& path) {
  std::vector<int> place;
  for (absl::string_view part : absl::StrSplit(path, absl::ByAnyChar(".["))) {
    if (absl::ConsumeSuffix(&part, "]")) {
      int& index = place.emplace_back();
      (void)absl::SimpleAtoi(part, &index);
      continue;
    }
    const auto* field = message == nullptr ? nullptr : message->FindFieldByName(std::string(part));
    place.push_back(field == nullptr ? 0 : field->number());
    message = field == nullptr ? nullptr : field->message_type();
  }
  return place;
}

// Whether all floats in `data` are within `range`. In place: a tensor can be most of a message.
bool AllWithin(const std::string& data, const ValueRange& range) {
  for (size_t at = 0; at < data.size(); at += sizeof(float)) {
    float value = 0;
    std::memcpy(&value, data.data() + at, sizeof(value));
    if (!range.Contains(value)) return false;
  }
  return true;
}

}  // namespace

RequestLimits ToRequestLimits(const v1::LimitsConfig& limits) {
  return {.max_size = limits.max_size(),
          .max_steps = limits.max_steps(),
          .max_prior_steps = limits.max_prior_steps(),
          .max_megapixel_steps = limits.max_megapixel_steps()};
}

FieldChecks::FieldChecks(const ValidationRules& rules)
    : rules_(rules), request_limits_(ToRequestLimits(rules.limits)) {}

GenerationRequest FieldChecks::DefaultRequest() const {
  return kandinsky::DefaultRequest(capabilities(), request_limits_);
}

bool FieldChecks::AllowsSize(int64_t edge) const {
  return kandinsky::AllowsSize(capabilities(), request_limits_, edge);
}

std::string FieldChecks::SizeRule() const { return kandinsky::SizeRule(capabilities(), request_limits_); }

void FieldChecks::CheckByModel(const GenerationRequest& request, int images) {
  RequestLimits limits = request_limits_;
  limits.images = images;
  for (Violation& violation : model().Check(request, limits)) {
    auto& [field, rule, lack] = violation;
    if (lack == Lack::kNone) {
      violations_.push_back({std::move(field), std::move(rule)});
    } else if (lack != Lack::kAdapter) {
      const char* const type = lack == Lack::kNetwork ? "TASK" : "IMAGE_ENCODER";
      lacks_.push_back({type, std::move(field), std::move(rule)});
    }
  }
}

void FieldChecks::Text(const std::string& field, const std::string& text) {
  const auto violation = PromptTextViolation(text, static_cast<size_t>(limits().max_prompt_bytes()));
  if (violation.has_value()) Violate(field, *violation);
}

void FieldChecks::Prompt(const std::string& field, const std::string& text) {
  const size_t before = count();
  Text(field, text);
  if (count() == before && IsBlank(text)) Violate(field, "must not be empty or only white space");
}

int FieldChecks::Integer(const std::string& field, int value, int min, int max) {
  if (value >= min && value <= max) return value;
  Violate(field, "must be ", min, " to ", max);
  return min;
}

void FieldChecks::Name(const std::string& field, const std::string& name) {
  if (name.empty() || IsValidName(name)) return;
  Violate(field, "must have 1 to 128 characters of A-Z a-z 0-9 . _ -");
}

std::vector<uint64_t> FieldChecks::Seeds(const SeedFields& fields,
                                         const std::function<uint64_t()>& draw_seed) {
  const int given = fields.seeds.size();
  int count = 1;
  if (fields.count.has_value()) {
    count = Integer(fields.count_field, *fields.count, 1, limits().max_images());
    if (given > 0 && given != *fields.count) {
      Violate("seeds", "must be empty or ", fields.count_field, " seeds");
    }
  } else if (given > 0) {
    count = given;
  }
  if (given > limits().max_images()) {
    Violate("seeds", "must be at most ", limits().max_images());
    return {0};
  }
  if (given > 0) return {fields.seeds.begin(), fields.seeds.end()};
  const uint64_t first = fields.seed.has_value() ? *fields.seed : draw_seed();
  std::vector<uint64_t> seeds;
  seeds.reserve(static_cast<size_t>(count));
  for (int i = 0; i < count; ++i) seeds.push_back(first + static_cast<uint64_t>(i));
  return seeds;
}

SharedFloatTensor FieldChecks::Embedding(const std::string& field, const v1::Embedding& embedding) {
  const int size = capabilities().embedding_dim;
  const auto allowed = [](float value) { return kEmbeddingRange.Contains(value); };
  if (embedding.values_size() != size ||
      !std::all_of(embedding.values().begin(), embedding.values().end(), allowed)) {
    Violate(field, "must have exactly ", size, " values from ", kEmbeddingRange.min, " to ",
            kEmbeddingRange.max);
    return std::make_shared<const FloatTensor>();
  }
  return std::make_shared<const FloatTensor>(
      FloatTensor{.shape = {size}, .values = {embedding.values().begin(), embedding.values().end()}});
}

std::optional<EncodedImage> FieldChecks::CheckedImage(const std::string& field, const std::string& bytes) {
  const auto refuse = [&](const char* fault, std::string rule) {
    violations_.push_back({field, std::move(rule), fault});
    return std::nullopt;
  };
  if (bytes.empty()) {
    Violate(field, "must be a PNG, JPEG or WebP image");
    return std::nullopt;
  }
  const DecodeLimits decode = {.max_pixels = limits().max_image_pixels(),
                               .max_encoded_bytes = static_cast<size_t>(limits().max_image_bytes())};
  if (bytes.size() > decode.max_encoded_bytes) {
    return refuse("too_many_bytes", absl::StrCat("must be at most ", decode.max_encoded_bytes, " bytes"));
  }
  const absl::StatusOr<ImageInfo> info =
      ProbeImage(bytes, {.max_pixels = INT64_MAX, .max_encoded_bytes = decode.max_encoded_bytes});
  if (!info.ok()) return refuse("header", std::string(info.status().message()));
  if (int64_t{info->width} * info->height > decode.max_pixels) {
    return refuse("too_many_pixels",
                  absl::StrCat("must have at most ", decode.max_pixels, " pixels, this one has ", info->width,
                               " x ", info->height));
  }
  return EncodedImage{.field = field, .bytes = bytes, .info = *info, .limits = decode};
}

bool FieldChecks::Tensor(const std::string& field, const v1::FloatTensor& tensor,
                         const std::vector<int64_t>& shape, const ValueRange& range) {
  if (!std::equal(shape.begin(), shape.end(), tensor.shape().begin(), tensor.shape().end())) {
    Violate(field, "must have the shape ", ShapeText(shape));
    return false;
  }
  size_t bytes = sizeof(float);
  for (const int64_t size : shape) bytes *= static_cast<size_t>(size);
  if (tensor.data().size() != bytes) {
    Violate(field, "must have ", bytes, " bytes of data, as its shape says");
    return false;
  }
  if (AllWithin(tensor.data(), range)) return true;
  Violate(field, "must have values from ", range.min, " to ", range.max, " only");
  return false;
}

std::vector<FieldViolation> FieldChecks::TakeViolations(const google::protobuf::Descriptor& message) {
  std::stable_sort(violations_.begin(), violations_.end(),
                   [&](const FieldViolation& a, const FieldViolation& b) {
                     return PlaceOf(&message, a.field) < PlaceOf(&message, b.field);
                   });
  return std::move(violations_);
}

std::string ShapeText(const std::vector<int64_t>& shape) {
  return absl::StrCat("[", absl::StrJoin(shape, ", "), "]");
}

std::vector<float> ValuesOf(const v1::FloatTensor& tensor) {
  std::vector<float> values(tensor.data().size() / sizeof(float));
  if (!values.empty()) std::memcpy(values.data(), tensor.data().data(), values.size() * sizeof(float));
  return values;
}

}  // namespace kandinsky::server
