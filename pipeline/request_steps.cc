#include "pipeline/request_steps.h"

#include <algorithm>
#include <variant>

namespace kandinsky {
namespace {

bool HasTextPart(const Mix& mix) {
  return std::any_of(mix.parts.begin(), mix.parts.end(),
                     [](const MixPart& part) { return std::holds_alternative<std::string>(part.content); });
}

}  // namespace

int StepsAtStrength(int steps, double strength) {
  return std::min(static_cast<int>(steps * strength), steps);
}

bool ReadsNegativeOfPrior(const GenerationRequest& request) {
  const bool guided = request.guidance_scale > 1 || std::holds_alternative<EmbedPrompt>(request.task);
  if (!guided || request.negative_image_embedding != nullptr) return false;
  const bool has_text = request.negative_prompt.has_value() && !request.negative_prompt->empty();
  // diffusers' interpolate returns the negative prior prompt's embedding when there is no negative prompt.
  if (request.mix) return has_text || request.negative_prior_prompt.has_value();
  return request.negative_prior_prompt.has_value() ? has_text : request.negative_prompt.has_value();
}

bool RunsPrior(const GenerationRequest& request) {
  const bool embeds_prompt = std::holds_alternative<EmbedPrompt>(request.task) ||
                             (MakesImage(request.task) && request.image_embedding == nullptr);
  if (!embeds_prompt) return false;
  return !request.mix || HasTextPart(*request.mix) || ReadsNegativeOfPrior(request);
}

int DenoiseSteps(const GenerationRequest& request) {
  if (!MakesImage(request.task)) return 0;
  const InitImage* init = nullptr;
  if (const auto* task = std::get_if<ImageToImage>(&request.task)) init = &task->init;
  if (const auto* task = std::get_if<ControlNet>(&request.task); task != nullptr && task->init) {
    init = &*task->init;
  }
  return init == nullptr ? request.steps : StepsAtStrength(request.steps, init->strength);
}

}  // namespace kandinsky
