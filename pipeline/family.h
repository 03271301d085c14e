#pragma once

#include <string>
#include <vector>

#include "pipeline/model.h"
#include "pipeline/recipe.h"

namespace kandinsky {

// What a set of adapters is called in the keys of each network; empty where it has nothing for it.
struct AdapterNames {
  std::string prior;
  std::string denoiser;
};

// What one family of models knows of requests without its weights: the rules, the plan, and what the networks
// are given. Everything in which families differ is here, in the components that they declare, and in their
// Conditioner; stages, pipeline, scheduler and server are the same for all. Immutable and thread-safe.
class Family {
 public:
  virtual ~Family() = default;

  // As Model::Check, for a model of these capabilities. Unless a family has rules of its own, those of
  // request_rules.h.
  virtual std::vector<Violation> Check(const Capabilities& capabilities, const GenerationRequest& request,
                                       const RequestLimits& limits) const;

  // As Model::PlanOf.
  virtual Plan PlanOf(const GenerationRequest& request, const AdapterNames& adapters) const = 0;

  // What the networks of a request that Check accepts are given.
  virtual SampleRecipe RecipeOf(const GenerationRequest& request) const = 0;

  // The texts of a request that its task reads, whether or not they are encoded.
  virtual std::vector<RequestText> TextsOf(const GenerationRequest& request) const = 0;
};

}  // namespace kandinsky
