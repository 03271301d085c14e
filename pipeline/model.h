#pragma once

#include <memory>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "pipeline/capabilities.h"
#include "pipeline/generation_request.h"
#include "pipeline/pipeline.h"
#include "pipeline/plan.h"

namespace kandinsky {

// What a model was loaded without.
enum class Lack { kNone, kNetwork, kImageEncoder, kAdapter };

// A rule of the model that a request breaks, or what the model lacks for it.
struct Violation {
  // Its path in the wire message, e.g. "mix.parts[2].weight"; with Lack::kNetwork the name of the task.
  std::string field;
  std::string rule;         // "must be ...", what follows the field in a message; of a lack a whole clause
  Lack lack = Lack::kNone;  // kNone: the request is wrong, whatever is loaded

  friend bool operator==(const Violation&, const Violation&) = default;
};

// The first of the violations, lacks included, as INVALID_ARGUMENT; OK when there are none.
absl::Status ToStatus(const std::vector<Violation>& violations);

// A loaded model: what it can do, which requests it serves, and the work that each takes. It knows its family
// and its weights; nobody else decides which networks, stages and steps a request has. Thread-safe,
// immutable, and shared: pipelines hold the weights through it.
class Model {
 public:
  virtual ~Model() = default;

  virtual const Capabilities& capabilities() const = 0;

  // All rules that `request` breaks within `limits`, and all that the model lacks for it; none when it can be
  // served. Numbers may have any values, NaN included. Images and tensors may be null as long as they are not
  // prepared: Pipeline::Admit checks those.
  virtual std::vector<Violation> Check(const GenerationRequest& request,
                                       const RequestLimits& limits) const = 0;

  // The work of one image of a request that Check accepts. Reads no image or tensor.
  virtual Plan PlanOf(const GenerationRequest& request) const = 0;

  // Makes a pipeline on `device`, e.g. "cpu". To be called on the thread that will own it; may be called
  // again after a pipeline was lost. UNAVAILABLE when the device does not answer.
  virtual absl::StatusOr<std::unique_ptr<Pipeline>> MakePipeline(const std::string& device) const = 0;
};

// A model and where to run it: a worker for each of `devices`.
struct LoadedModel {
  std::shared_ptr<const Model> model;
  std::vector<std::string> devices;
};

}  // namespace kandinsky
