#pragma once

#include <google/protobuf/descriptor.h>
#include <google/protobuf/repeated_field.h>

#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "imaging/encoded_image.h"
#include "kandinsky/v1/image_generation.pb.h"
#include "kandinsky/v1/server_config.pb.h"
#include "pipeline/model.h"
#include "server/error_details.h"

namespace kandinsky {

// How the results travel. A unary reply must fit into one message.
enum class ReplyKind { kStream, kUnary };

// Bounds of the values of tensors. Any finite value would let clients overflow the networks, which is then an
// error of the server; within these bounds, also with guidance and weights at theirs, 32-bit floats are far
// from that.
// Image embeddings have values of the order of 1, the prior clips at 10 standard deviations; the rest is room
// for arithmetic with them.
inline constexpr float kLargestEmbeddingValue = 1000;
// Latents have values of the order of 1, those that Euler samplers start from of 25; strong guidance
// multiplies them.
inline constexpr float kLargestLatentValue = 10'000;

// What a request is checked against.
struct ValidationRules {
  const v1::LimitsConfig& limits;  // complete
  const Model& model;
  ReplyKind reply = ReplyKind::kStream;
};

// How many results a request wants and their seeds, under the names that they have in its message.
struct SeedFields {
  const char* count_field;
  std::optional<int> count;
  std::optional<uint64_t> seed;
  const google::protobuf::RepeatedField<uint64_t>& seeds;
};

// Checks the fields of one request and collects what is wrong. Values that are wrong are replaced by harmless
// ones so that the following checks can go on. `field` is always a path in the request, e.g.
// "mix.parts[2].weight". Pure: reads the request and nothing else. Pictures are looked at as far as their
// header.
class FieldChecks {
 public:
  // What `rules` refers to outlives this object.
  explicit FieldChecks(const ValidationRules& rules) : rules_(rules) {}

  const v1::LimitsConfig& limits() const { return rules_.limits; }
  const Model& model() const { return rules_.model; }
  const Capabilities& capabilities() const { return rules_.model.capabilities(); }
  ReplyKind reply() const { return rules_.reply; }

  // What a codec may be asked to decode.
  DecodeLimits decode_limits() const;

  template <typename... Parts>
  void Violate(const std::string& field, const Parts&... parts) {
    violations_.push_back({field, absl::StrCat(parts...)});
  }

  // A text that may be empty.
  void Text(const std::string& field, const std::string& text);
  // A text that must not be blank.
  void Prompt(const std::string& field, const std::string& text);
  int Integer(const std::string& field, int value, int min, int max);
  // 0 to `max`; -0 becomes 0.
  float Number(const std::string& field, float value, float max);
  // Width or height in pixels.
  int Size(const std::string& field, int value);
  bool AllowsSize(int64_t value) const;
  // "must be a multiple of 64 from 64 to 2048 pixels".
  std::string SizeRule() const;
  // Its default, which obeys the operator's limits and the model's multiple like a given value, but is never
  // refused.
  int DefaultSize(int size) const;
  // The share of `steps` that is run.
  double Strength(const std::string& field, double value, int steps);
  // The name of a model or of a set of adapters; may be empty.
  void Name(const std::string& field, const std::string& name);
  // One seed per result. `draw_seed` gives the first when there is none.
  std::vector<uint64_t> Seeds(const SeedFields& fields, const std::function<uint64_t()>& draw_seed);
  // Null when it is wrong.
  SharedFloatTensor Embedding(const std::string& field, const v1::Embedding& embedding);
  // What the header of an encoded picture says; nothing when it is wrong.
  std::optional<ImageInfo> Picture(const std::string& field, const std::string& bytes);
  // Whether `tensor` has `shape` and values from `min` to `max`.
  bool Tensor(const std::string& field, const v1::FloatTensor& tensor, const std::vector<int64_t>& shape,
              std::pair<float, float> range);

  // Notes that the model cannot do something. Counts only when everything else is right.
  void Lack(PreconditionViolation violation) { lacks_.push_back(std::move(violation)); }
  // A picture at `field` is to be embedded.
  void NeedImageEncoder(const std::string& field);

  // How many violations there are so far.
  size_t count() const { return violations_.size(); }
  // All violations, in the order of the fields of `message`; those of one field in the order in which they
  // were found.
  std::vector<FieldViolation> TakeViolations(const google::protobuf::Descriptor& message);
  std::vector<PreconditionViolation> TakeLacks() { return std::move(lacks_); }

 private:
  const ValidationRules rules_;
  std::vector<FieldViolation> violations_;
  std::vector<PreconditionViolation> lacks_;
};

// "[3, 512, 768]".
std::string ShapeText(const std::vector<int64_t>& shape);

// Reads the values of a tensor whose shape was checked.
std::vector<float> ValuesOf(const v1::FloatTensor& tensor);

}  // namespace kandinsky
