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
#include "kandinsky/v1/image_generation.pb.h"
#include "kandinsky/v1/server_config.pb.h"
#include "pipeline/model.h"
#include "pipeline/value_range.h"
#include "server/error_details.h"
#include "server/request_inputs.h"

namespace kandinsky::server {

// How the results travel. A unary reply must fit into one message.
enum class ReplyKind { kStream, kUnary };

// The operator's limits as the model takes them, for one image.
RequestLimits ToRequestLimits(const v1::LimitsConfig& limits);

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

// A number as it was sent, but 0 for -0.
inline float WithoutMinusZero(float value) { return value + 0.0f; }

// Checks the fields of one request and collects what is wrong: what is of the wire itself, and what the model
// says (CheckByModel). `field` is always a path in the request, e.g. "mix.parts[2].weight". Pure: reads the
// request and nothing else. Images are looked at as far as their header.
class FieldChecks {
 public:
  // What `rules` refers to outlives this object.
  explicit FieldChecks(const ValidationRules& rules);

  const v1::LimitsConfig& limits() const { return rules_.limits; }
  const Model& model() const { return rules_.model; }
  const Capabilities& capabilities() const { return rules_.model.capabilities(); }
  ReplyKind reply() const { return rules_.reply; }

  // What is asked for where a request says nothing.
  GenerationRequest DefaultRequest() const;
  // Whether the model takes `edge` as width or height, and its rule for those.
  bool AllowsSize(int64_t edge) const;
  bool AllowsSizeOf(const GenerationRequest& request) const {
    return AllowsSize(request.width) && AllowsSize(request.height);
  }
  std::string SizeRule() const;

  // Adds what the model says about the native request, of which `images` are wanted. A lack of the model
  // counts only when everything else is right; names of adapters are CheckServed's.
  void CheckByModel(const GenerationRequest& request, int images = 1);

  template <typename... Parts>
  void Violate(const std::string& field, const Parts&... parts) {
    violations_.push_back({field, absl::StrCat(parts...)});
  }

  // A text that may be empty.
  void Text(const std::string& field, const std::string& text);
  // A text that must not be blank.
  void Prompt(const std::string& field, const std::string& text);
  // The least of the range when `value` is not in it.
  int Integer(const std::string& field, int value, int min, int max);
  // The name of a model or of a set of adapters; may be empty.
  void Name(const std::string& field, const std::string& name);
  // One seed per result. `draw_seed` gives the first when there is none.
  std::vector<uint64_t> Seeds(const SeedFields& fields, const std::function<uint64_t()>& draw_seed);
  // Without values when it is wrong.
  SharedFloatTensor Embedding(const std::string& field, const v1::Embedding& embedding);
  // The image, whose header is right; nothing when it is wrong. `bytes` outlives it.
  std::optional<EncodedImage> CheckedImage(const std::string& field, const std::string& bytes);
  // Whether `tensor` has `shape` and values within `range`.
  bool Tensor(const std::string& field, const v1::FloatTensor& tensor, const std::vector<int64_t>& shape,
              const ValueRange& range);

  // How many violations there are so far.
  size_t count() const { return violations_.size(); }
  // All violations, in the order of the fields of `message` and of those within them; those of one field in
  // the order in which they were found.
  std::vector<FieldViolation> TakeViolations(const google::protobuf::Descriptor& message);
  std::vector<PreconditionViolation> TakeLacks() { return std::move(lacks_); }

 private:
  const ValidationRules rules_;
  const RequestLimits request_limits_;  // of `rules`
  std::vector<FieldViolation> violations_;
  std::vector<PreconditionViolation> lacks_;
};

// "[3, 512, 768]".
std::string ShapeText(const std::vector<int64_t>& shape);

// Reads the values of a tensor whose shape was checked.
std::vector<float> ValuesOf(const v1::FloatTensor& tensor);

}  // namespace kandinsky::server
