#include "pipeline/kandinsky22/kandinsky22_family.h"

#include "absl/strings/str_cat.h"
#include "pipeline/kandinsky22/prior_plan.h"
#include "pipeline/request_steps.h"

namespace kandinsky {

Plan Kandinsky22Family::PlanOf(const GenerationRequest& request, const AdapterNames& adapters) const {
  return PlanRequest(request, {.latent_scale = latent_scale_, .memory = memory_, .adapters = adapters});
}

SampleRecipe Kandinsky22Family::RecipeOf(const GenerationRequest& request) const {
  return PlanPrior(request);
}

std::vector<RequestText> Kandinsky22Family::TextsOf(const GenerationRequest& request) const {
  std::vector<RequestText> texts;
  if (request.mix) {
    for (size_t i = 0; i < request.mix->parts.size(); ++i) {
      const auto* text = std::get_if<std::string>(&request.mix->parts[i].content);
      if (text != nullptr) texts.push_back({absl::StrCat("mix.parts[", i, "].text"), *text});
    }
  } else if (RunsPrior(request) || std::holds_alternative<EmbedText>(request.task)) {
    texts.push_back({"prompt", request.prompt});
  }
  if (request.negative_prompt) texts.push_back({"negative_prompt", *request.negative_prompt});
  if (request.negative_prior_prompt) {
    texts.push_back({"negative_prior_prompt", *request.negative_prior_prompt});
  }
  return texts;
}

}  // namespace kandinsky
