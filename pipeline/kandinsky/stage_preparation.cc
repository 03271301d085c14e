#include "pipeline/kandinsky/stage_preparation.h"

#include <memory>
#include <utility>
#include <variant>

#include "pipeline/kandinsky/input_tensors.h"

namespace kandinsky {
namespace {

torch::Tensor ToEmbeddingRow(const ImageEmbedding& embedding) {
  return ToTensor(*embedding).reshape({1, -1});
}

// The weighted sum of the plan's terms, [1, embedding_dim]; `rows` are the prior's embeddings.
torch::Tensor SumTerms(const KandinskyGeneration& generation, const torch::Tensor& rows) {
  std::vector<torch::Tensor> terms;
  for (const EmbeddingTerm& term : generation.plan.embedding) {
    torch::Tensor embedding;
    if (const auto* row = std::get_if<EmbeddingTerm::Row>(&term.source)) {
      embedding = rows.narrow(0, row->index, 1);
    } else if (const auto* picture = std::get_if<EmbeddingTerm::Picture>(&term.source)) {
      embedding = generation.picture_embeddings[static_cast<size_t>(picture->index)];
    } else {
      embedding = ToEmbeddingRow(std::get<ImageEmbedding>(term.source));
    }
    terms.push_back(term.weight == 1.0f ? embedding : embedding * term.weight);
  }
  return terms.size() == 1 ? terms.front() : torch::stack(terms).sum(0);
}

torch::Tensor NegativeEmbedding(const KandinskyModel& model, const KandinskyGeneration& generation,
                                const torch::Tensor& rows) {
  const PriorPlan& plan = generation.plan;
  if (plan.negative_embedding != nullptr) return ToEmbeddingRow(plan.negative_embedding);
  return plan.negative_row ? rows.narrow(0, *plan.negative_row, 1) : model.zero_image_embedding;
}

// The part of the inputs that depends on the task.
void AddTaskInputs(const KandinskyGeneration& generation, ConditioningInputs& inputs) {
  const Task& task = generation.request.task;
  inputs.image_latents = generation.image_latents;
  inputs.first_step = generation.sampler->step_count() - generation.steps_of(Stage::kDenoise);
  if (const auto* inpaint = std::get_if<Inpaint>(&task)) {
    const auto prepare = inpaint->soft ? SoftKeepMask : BinaryKeepMask;
    inputs.keep_mask = prepare(*inpaint->mask, generation.latent_height, generation.latent_width);
  }
  if (const auto* control = std::get_if<ControlNet>(&task)) {
    inputs.hint = ToTensor(*control->hint).unsqueeze(0).contiguous(at::MemoryFormat::ChannelsLast);
  }
}

// `rows` [rows of the plan, embedding_dim] are the prior's embeddings, undefined when there are none.
void PrepareDenoise(const KandinskyModel& model, KandinskyGeneration& generation, const torch::Tensor& rows) {
  ConditioningInputs inputs;
  inputs.image_embeddings = SumTerms(generation, rows);
  if (generation.guided()) {
    inputs.image_embeddings = at::cat({NegativeEmbedding(model, generation, rows), inputs.image_embeddings});
  }
  AddTaskInputs(generation, inputs);
  generation.conditioning =
      std::make_unique<Conditioning>(*generation.networks.unet, *generation.sampler, std::move(inputs));
  const torch::Tensor noise = generation.DrawNoise({1, 4, generation.latent_height, generation.latent_width});
  generation.latents = generation.conditioning->InitialLatents(noise);
}

// Initial latents of the prior's rows, from noise or from the start that the request names.
void PreparePrior(KandinskyGeneration& generation, int steps, int64_t width) {
  const torch::Tensor noise = generation.DrawPriorNoise(width);
  const Sampler& sampler = *generation.prior_sampler;
  if (!generation.request.prior_start) {
    generation.prior_latents = noise * sampler.init_noise_sigma();
    return;
  }
  // Not normalised by clip_mean and clip_std, although what the prior makes is: so does diffusers.
  const auto* given = std::get_if<ImageEmbedding>(&generation.request.prior_start->from);
  const torch::Tensor start =
      given != nullptr ? ToEmbeddingRow(*given) : generation.picture_embeddings.front();
  generation.prior_latents = sampler.AddNoise(start.expand_as(noise), noise, sampler.step_count() - steps);
}

}  // namespace

void PrepareAfterEncode(const KandinskyModel& model, KandinskyGeneration& generation) {
  const GenerationRequest& request = generation.request;
  if (const auto* task = std::get_if<DecodeLatents>(&request.task)) {
    generation.latents = ToTensor(*task->latents).unsqueeze(0);
    return;
  }
  if (!MakesImage(request.task) && !std::holds_alternative<EmbedPrompt>(request.task)) return;
  const int64_t width = model.zero_image_embedding.size(1);
  const int planned = generation.steps_of(Stage::kPrior);
  // Runs that nothing reads draw all the same. One draw per step: for the latents, and after each step but
  // the last.
  generation.StartPriorRuns(planned > 0 ? planned : request.prior_steps, width);
  if (planned > 0) {
    PreparePrior(generation, planned, width);
  } else {
    PrepareDenoise(model, generation, {});
  }
}

void PrepareAfterPrior(const KandinskyModel& model, KandinskyGeneration& generation,
                       const torch::Tensor& rows) {
  const PriorTransformer& prior = *generation.networks.prior;
  const torch::Tensor embeddings = rows * prior.clip_std + prior.clip_mean;
  if (!std::holds_alternative<EmbedPrompt>(generation.request.task)) {
    PrepareDenoise(model, generation, embeddings);
    return;
  }
  generation.result.embedding = ToFloatTensor(SumTerms(generation, embeddings));
  generation.result.negative_embedding = ToFloatTensor(NegativeEmbedding(model, generation, embeddings));
}

}  // namespace kandinsky
