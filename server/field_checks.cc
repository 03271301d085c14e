#include "server/field_checks.h"

#include <algorithm>
#include <bit>
#include <cmath>
#include <cstring>

#include "absl/strings/str_join.h"
#include "base/white_space.h"
#include "server/config.h"
#include "server/prompt_text.h"

namespace kandinsky {
namespace {

static_assert(std::endian::native == std::endian::little, "the floats of the wire format are little-endian");

constexpr int kSmallestSize = 64;

// Number of the message's field that a path starts with.
int FieldNumber(const google::protobuf::Descriptor& message, const std::string& path) {
  const auto* field = message.FindFieldByName(path.substr(0, path.find_first_of(".[")));
  return field == nullptr ? 0 : field->number();
}

// Whether all floats in `data` are within the bounds; NaN is not. In place: a tensor can be most of a
// message.
bool AllWithin(const std::string& data, float min, float max) {
  for (size_t at = 0; at < data.size(); at += sizeof(float)) {
    float value = 0;
    std::memcpy(&value, data.data() + at, sizeof(value));
    if (!(value >= min && value <= max)) return false;
  }
  return true;
}

}  // namespace

DecodeLimits FieldChecks::decode_limits() const {
  return {.max_pixels = limits().max_image_pixels(),
          .max_encoded_bytes = static_cast<size_t>(limits().max_image_bytes())};
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

float FieldChecks::Number(const std::string& field, float value, float max) {
  // Written so that a NaN is refused too.
  if (value >= 0 && value <= max) return std::abs(value);  // -0 becomes 0
  Violate(field, "must be a finite number from 0 to ", max);
  return 0;
}

int FieldChecks::DefaultSize(int size) const {
  const int multiple = capabilities().size_multiple;
  return std::max(multiple, std::min(size, limits().max_size()) / multiple * multiple);
}

bool FieldChecks::AllowsSize(int64_t value) const {
  const int multiple = capabilities().size_multiple;
  return value >= std::min(kSmallestSize, multiple) && value <= limits().max_size() && value % multiple == 0;
}

std::string FieldChecks::SizeRule() const {
  const int multiple = capabilities().size_multiple;
  return absl::StrCat("must be a multiple of ", multiple, " from ", std::min(kSmallestSize, multiple), " to ",
                      limits().max_size(), " pixels");
}

int FieldChecks::Size(const std::string& field, int value) {
  if (AllowsSize(value)) return value;
  Violate(field, SizeRule());
  return std::min(kSmallestSize, capabilities().size_multiple);
}

double FieldChecks::Strength(const std::string& field, double value, int steps) {
  if (!(value > 0 && value <= 1)) {
    Violate(field, "must be a number above 0 and at most 1");
    return 1;
  }
  if (StepsAtStrength(steps, value) >= 1) return value;
  Violate(field, "strength ", value, " leaves none of ", steps, " steps; their product must be at least 1");
  return 1;
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
  // Written so that a NaN is refused too.
  const auto allowed = [](float value) { return std::abs(value) <= kLargestEmbeddingValue; };
  if (embedding.values_size() != size ||
      !std::all_of(embedding.values().begin(), embedding.values().end(), allowed)) {
    Violate(field, "must have exactly ", size, " values from ", -kLargestEmbeddingValue, " to ",
            kLargestEmbeddingValue);
    return nullptr;
  }
  return std::make_shared<const FloatTensor>(
      FloatTensor{.shape = {size}, .values = {embedding.values().begin(), embedding.values().end()}});
}

std::optional<ImageInfo> FieldChecks::Picture(const std::string& field, const std::string& bytes) {
  const auto refuse = [&](const char* fault, std::string rule) {
    violations_.push_back({field, std::move(rule), fault});
    return std::nullopt;
  };
  if (bytes.empty()) {
    Violate(field, "must be a PNG, JPEG or WebP image");
    return std::nullopt;
  }
  DecodeLimits decode = decode_limits();
  if (bytes.size() > decode.max_encoded_bytes) {
    return refuse("too_many_bytes", absl::StrCat("must be at most ", decode.max_encoded_bytes, " bytes"));
  }
  const int64_t max_pixels = std::exchange(decode.max_pixels, INT64_MAX);
  const absl::StatusOr<ImageInfo> info = ProbeImage(bytes, decode);
  if (!info.ok()) return refuse("header", std::string(info.status().message()));
  if (int64_t{info->width} * info->height > max_pixels) {
    return refuse("too_many_pixels", absl::StrCat("must have at most ", max_pixels, " pixels, this one has ",
                                                  info->width, " x ", info->height));
  }
  return *info;
}

bool FieldChecks::Tensor(const std::string& field, const v1::FloatTensor& tensor,
                         const std::vector<int64_t>& shape, std::pair<float, float> range) {
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
  const auto [min, max] = range;
  if (AllWithin(tensor.data(), min, max)) return true;
  Violate(field, "must have values from ", min, " to ", max, " only");
  return false;
}

void FieldChecks::NeedImageEncoder(const std::string& field) {
  if (capabilities().has_image_encoder) return;
  Lack({"IMAGE_ENCODER", field,
        "the model was loaded without an image encoder, so pictures cannot be embedded"});
}

std::vector<FieldViolation> FieldChecks::TakeViolations(const google::protobuf::Descriptor& message) {
  std::stable_sort(violations_.begin(), violations_.end(),
                   [&](const FieldViolation& a, const FieldViolation& b) {
                     return FieldNumber(message, a.field) < FieldNumber(message, b.field);
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

}  // namespace kandinsky
