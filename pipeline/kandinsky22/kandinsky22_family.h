#pragma once

#include <string>
#include <vector>

#include "pipeline/family.h"
#include "pipeline/kandinsky22/request_plan.h"

namespace kandinsky {

// Kandinsky 2.2: a CLIP text tower, the diffusion prior, a U-Net that sees image embeddings alone, MOVQ.
class Kandinsky22Family final : public Family {
 public:
  Kandinsky22Family(int latent_scale, const StepMemory& memory)
      : latent_scale_(latent_scale), memory_(memory) {}

  Plan PlanOf(const GenerationRequest& request, const AdapterNames& adapters) const override;
  SampleRecipe RecipeOf(const GenerationRequest& request) const override;
  std::vector<RequestText> TextsOf(const GenerationRequest& request) const override;

 private:
  const int latent_scale_;
  const StepMemory memory_;
};

}  // namespace kandinsky
