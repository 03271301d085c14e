#include "pipeline/diffusion/stage_preparation.h"

#include <memory>
#include <utility>
#include <variant>

#include "pipeline/diffusion/input_tensors.h"

namespace kandinsky {
namespace {

torch::Tensor ToEmbeddingRow(const Placement& placement, const ImageEmbedding& embedding) {
  return placement.Floats(*embedding).reshape({1, -1});
}

// The weighted sum of the recipe's terms, [1, embedding_dim]; undefined without terms. `rows` are the prior's
// embeddings.
torch::Tensor SumTerms(const DiffusionSample& sample, const torch::Tensor& rows) {
  std::vector<torch::Tensor> terms;
  for (const EmbeddingTerm& term : sample.recipe.embedding) {
    torch::Tensor embedding;
    if (const auto* row = std::get_if<EmbeddingTerm::Row>(&term.source)) {
      embedding = rows.narrow(0, row->index, 1);
    } else if (const auto* image = std::get_if<EmbeddingTerm::EmbeddedImage>(&term.source)) {
      embedding = sample.image_embeddings[static_cast<size_t>(image->index)];
    } else {
      embedding = ToEmbeddingRow(sample.placement, std::get<ImageEmbedding>(term.source));
    }
    terms.push_back(term.weight == 1.0f ? embedding : embedding * term.weight);
  }
  if (terms.size() <= 1) return terms.empty() ? torch::Tensor() : terms.front();
  return torch::stack(terms).sum(0);
}

// Undefined in families without image embeddings.
torch::Tensor NegativeEmbedding(const DiffusionModel& model, const DiffusionSample& sample,
                                const torch::Tensor& rows) {
  const SampleRecipe& recipe = sample.recipe;
  if (recipe.negative_embedding != nullptr)
    return ToEmbeddingRow(sample.placement, recipe.negative_embedding);
  return recipe.negative_row ? rows.narrow(0, *recipe.negative_row, 1) : model.zero_image_embedding;
}

DenoiserCondition ConditionOf(const DiffusionModel& model, const DiffusionSample& sample,
                              const torch::Tensor& rows) {
  ConditionParts parts = {.guided = sample.guided(), .embedding = SumTerms(sample, rows)};
  if (parts.guided) parts.negative_embedding = NegativeEmbedding(model, sample, rows);
  for (const DenoiserText& text : sample.recipe.denoiser_texts) {
    parts.texts.push_back(sample.texts[static_cast<size_t>(text.text)].encoded->features);
    if (!parts.guided) continue;
    const SampleText& unconditional = sample.texts[static_cast<size_t>(text.unconditional)];
    parts.unconditional_texts.push_back(unconditional.encoded->features);
  }
  return model.conditioner->Combine(parts);
}

// The part of the inputs that depends on the task.
void AddTaskInputs(const DiffusionSample& sample, ConditioningInputs& inputs) {
  const Task& task = sample.request.task;
  inputs.image_latents = sample.image_latents;
  inputs.first_step = sample.sampler->step_count() - sample.steps_of(Stage::kDenoise);
  if (const auto* inpaint = std::get_if<Inpaint>(&task)) {
    const auto prepare = inpaint->soft ? SoftKeepMask : BinaryKeepMask;
    inputs.keep_mask =
        sample.placement.OnDevice(prepare(*inpaint->mask, sample.size.height, sample.size.width));
  }
  if (const auto* control = std::get_if<ControlNet>(&task)) {
    inputs.hint = sample.placement.Floats(*control->hint).unsqueeze(0);
  }
}

// `rows` [rows of the plan, embedding_dim] are the prior's embeddings, undefined when there are none.
void PrepareDenoise(const DiffusionModel& model, DiffusionSample& sample, const torch::Tensor& rows) {
  ConditioningInputs inputs;
  AddTaskInputs(sample, inputs);
  sample.conditioning = std::make_unique<Conditioning>(*sample.networks.denoiser, *sample.sampler,
                                                       ConditionOf(model, sample, rows), std::move(inputs));
  const torch::Tensor noise =
      sample.DrawNoise({1, sample.size.channels, sample.size.height, sample.size.width});
  sample.latents = sample.conditioning->InitialLatents(noise);
}

// The image embeddings, as the result or for the denoise loop; `rows` as in PrepareDenoise.
void UseEmbeddings(const DiffusionModel& model, DiffusionSample& sample, const torch::Tensor& rows) {
  if (!std::holds_alternative<EmbedPrompt>(sample.request.task)) {
    PrepareDenoise(model, sample, rows);
    return;
  }
  sample.result.embedding = ToFloatTensor(SumTerms(sample, rows));
  sample.result.negative_embedding = ToFloatTensor(NegativeEmbedding(model, sample, rows));
}

// Initial latents of the prior's rows, from noise or from the start that the request names.
void PreparePrior(DiffusionSample& sample, int steps, int64_t width) {
  const torch::Tensor noise = sample.DrawPriorNoise(width);
  const Sampler& sampler = *sample.prior_sampler;
  if (!sample.request.prior_start) {
    sample.prior_latents = noise * sampler.init_noise_sigma();
    return;
  }
  // Not normalized by clip_mean and clip_std, although what the prior makes is: so does diffusers.
  const auto* given = std::get_if<ImageEmbedding>(&sample.request.prior_start->from);
  const torch::Tensor start =
      given != nullptr ? ToEmbeddingRow(sample.placement, *given) : sample.image_embeddings.front();
  sample.prior_latents = sampler.AddNoise(start.expand_as(noise), noise, sampler.step_count() - steps);
}

}  // namespace

void PrepareAfterEncode(const DiffusionModel& model, DiffusionSample& sample) {
  const GenerationRequest& request = sample.request;
  if (const auto* task = std::get_if<DecodeLatents>(&request.task)) {
    sample.latents = sample.placement.Floats(*task->latents).unsqueeze(0);
    return;
  }
  if (!MakesImage(request.task) && !std::holds_alternative<EmbedPrompt>(request.task)) return;
  const int planned = sample.steps_of(Stage::kPrior);
  // Runs that nothing reads draw all the same. One draw per step: for the latents, and after each step but
  // the last.
  const int64_t width = model.capabilities.embedding_dim;
  sample.StartPriorRuns(planned > 0 ? planned : request.prior_steps, width);
  if (planned > 0) {
    PreparePrior(sample, planned, width);
  } else {
    UseEmbeddings(model, sample, {});
  }
}

void PrepareAfterPrior(const DiffusionModel& model, DiffusionSample& sample, const torch::Tensor& rows) {
  UseEmbeddings(model, sample, sample.networks.prior->ToEmbeddings(rows));
}

}  // namespace kandinsky
