#include "pipeline/planned_steps.h"

#include <algorithm>
#include <variant>

namespace kandinsky {
namespace {

bool IsPicture(const ImageOrEmbedding& source) { return std::holds_alternative<InputImage>(source); }

bool HasPart(const Mix& mix, size_t alternative) {
  return std::any_of(mix.parts.begin(), mix.parts.end(),
                     [&](const MixPart& part) { return part.content.index() == alternative; });
}

bool HasTextPart(const Mix& mix) { return HasPart(mix, 0); }
bool HasPicturePart(const Mix& mix) { return HasPart(mix, 1); }

// Whether the unconditional half of the decoder's guidance reads an embedding that the prior makes.
bool ReadsNegativeOfPrior(const GenerationRequest& request) {
  const bool guided = request.guidance_scale > 1 || std::holds_alternative<EmbedPrompt>(request.task);
  if (!guided || request.negative_image_embedding != nullptr) return false;
  const bool has_text = request.negative_prompt.has_value() && !request.negative_prompt->empty();
  // diffusers' interpolate returns the negative prior prompt's embedding when there is no negative prompt.
  if (std::holds_alternative<Mix>(request.task)) return has_text || request.negative_prior_prompt.has_value();
  return request.negative_prior_prompt.has_value() ? has_text : request.negative_prompt.has_value();
}

// Whether the image is encoded for its pixels, rather than for its meaning.
bool EncodesLatents(const Task& task) {
  const auto* control = std::get_if<ControlNet>(&task);
  return std::holds_alternative<ImageToImage>(task) || std::holds_alternative<Inpaint>(task) ||
         std::holds_alternative<EncodeLatents>(task) || (control != nullptr && control->init.has_value());
}

bool EncodesPictures(const GenerationRequest& request) {
  if (std::holds_alternative<EmbedImage>(request.task)) return true;
  if (const auto* mix = std::get_if<Mix>(&request.task)) return HasPicturePart(*mix);
  return request.prior_start.has_value() && IsPicture(request.prior_start->from);
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

}  // namespace

const char* EncodeNetworkName(EncodeNetwork network) {
  switch (network) {
    case EncodeNetwork::kText:
      return "text_encoder";
    case EncodeNetwork::kImage:
      return "image_encoder";
    case EncodeNetwork::kLatents:
      return "movq_encoder";
    case EncodeNetwork::kPreparation:
      break;
  }
  return "none";
}

std::vector<EncodeNetwork> EncodeNetworks(const GenerationRequest& request) {
  std::vector<EncodeNetwork> networks;
  if (RunsPrior(request) || std::holds_alternative<EmbedText>(request.task))
    networks.push_back(EncodeNetwork::kText);
  if (EncodesPictures(request)) networks.push_back(EncodeNetwork::kImage);
  if (EncodesLatents(request.task)) networks.push_back(EncodeNetwork::kLatents);
  if (networks.empty()) networks.push_back(EncodeNetwork::kPreparation);
  return networks;
}

bool RunsPrior(const GenerationRequest& request) {
  if (std::holds_alternative<EmbedPrompt>(request.task)) return true;
  if (!MakesImage(request.task) || request.image_embedding != nullptr) return false;
  const auto* mix = std::get_if<Mix>(&request.task);
  return mix == nullptr || HasTextPart(*mix) || ReadsNegativeOfPrior(request);
}

int StepsAtStrength(int steps, double strength) {
  return std::min(static_cast<int>(steps * strength), steps);
}

std::array<int, 4> PlannedSteps(const GenerationRequest& request) {
  int prior = 0;
  if (RunsPrior(request)) {
    prior = request.prior_start ? StepsAtStrength(request.prior_steps, request.prior_start->strength)
                                : request.prior_steps;
  }
  const bool pictures = request.output.image || request.output.pixels;
  const bool decodes =
      pictures && (MakesImage(request.task) || std::holds_alternative<DecodeLatents>(request.task));
  return {static_cast<int>(EncodeNetworks(request).size()), prior, DenoiseSteps(request), decodes ? 1 : 0};
}

}  // namespace kandinsky
