#include "server/generation_parameters.h"

#include <array>
#include <charconv>
#include <nlohmann/json.hpp>
#include <string>
#include <variant>

namespace kandinsky::server {
namespace {

// Keeps the order in which it is written.
using Json = nlohmann::ordered_json;

const char* SamplerName(SamplerKind sampler) {
  switch (sampler) {
    case SamplerKind::kModelDefault:
      return "model_default";
    case SamplerKind::kDdpm:
      return "ddpm";
    case SamplerKind::kDdim:
      return "ddim";
    case SamplerKind::kDdpmLearnedRange:
      return "ddpm_learned_range";
    case SamplerKind::kEuler:
      return "euler";
    case SamplerKind::kEulerAncestral:
      return "euler_ancestral";
    case SamplerKind::kDpmSolverMultistep:
      return "dpm_solver_multistep";
  }
  return "";
}

// A float as the shortest decimal that means it: 0.3, not 0.30000001192092896.
double Decimal(float value) {
  std::array<char, 32> text;
  const auto end = std::to_chars(text.data(), text.data() + text.size(), value).ptr;
  double decimal = 0;
  std::from_chars(text.data(), end, decimal);
  return decimal;
}

Json PartOf(const MixPart& part) {
  Json json;
  if (const auto* text = std::get_if<std::string>(&part.content)) {
    json["text"] = *text;
  } else {
    json["content"] = std::holds_alternative<InputImage>(part.content) ? "image" : "embedding";
  }
  json["weight"] = Decimal(part.weight);
  return json;
}

// What only some tasks have.
void AddTask(const Task& task, Json& json) {
  if (const auto* change = std::get_if<ImageToImage>(&task)) json["strength"] = change->init.strength;
  if (const auto* inpaint = std::get_if<Inpaint>(&task)) {
    json["soft_mask"] = inpaint->soft;
    json["paste_back"] = inpaint->paste_back;
    json["feather_pixels"] = inpaint->feather;
  }
  if (const auto* control = std::get_if<ControlNet>(&task); control != nullptr && control->init.has_value()) {
    json["strength"] = control->init->strength;
  }
}

}  // namespace

std::string GenerationParameters(const GenerationRequest& request, uint64_t seed, const std::string& model) {
  Json json;
  json["prompt"] = request.prompt;
  if (request.negative_prompt) json["negative_prompt"] = *request.negative_prompt;
  if (request.negative_prior_prompt) json["negative_prior_prompt"] = *request.negative_prior_prompt;
  if (request.mix) {
    for (const MixPart& part : request.mix->parts) json["mix"].push_back(PartOf(part));
  }
  json["task"] = TaskName(request.task);
  AddTask(request.task, json);
  if (request.prior_start) json["prior_start_strength"] = request.prior_start->strength;
  json["image_embedding_given"] = request.image_embedding != nullptr;
  json["negative_image_embedding_given"] = request.negative_image_embedding != nullptr;
  json["seed"] = std::to_string(seed);
  json["width"] = request.width;
  json["height"] = request.height;
  json["steps"] = request.steps;
  json["guidance_scale"] = Decimal(request.guidance_scale);
  json["prior_steps"] = request.prior_steps;
  json["prior_guidance_scale"] = Decimal(request.prior_guidance_scale);
  json["sampler"] = SamplerName(request.sampler);
  if (request.sampler == SamplerKind::kDdim) json["eta"] = Decimal(request.eta);
  json["model"] = model;
  if (!request.adapter.empty()) json["adapter"] = request.adapter;
  return json.dump();
}

}  // namespace kandinsky::server
