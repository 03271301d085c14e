#include "pipeline/kandinsky22/prior_plan.h"

#include <algorithm>
#include <utility>

#include "pipeline/network_names.h"

namespace kandinsky {
namespace {

class Planner {
 public:
  explicit Planner(const GenerationRequest& request)
      : request_(request),
        guided_(request.prior_guidance_scale > 1),
        reads_negative_((request.guidance_scale > 1 || std::holds_alternative<EmbedPrompt>(request.task)) &&
                        request.negative_image_embedding == nullptr) {}

  SampleRecipe Run() {
    plan_.negative_embedding = request_.negative_image_embedding;
    if (const auto* task = std::get_if<EmbedImage>(&request_.task)) AddImage(task->image);
    if (std::holds_alternative<EmbedText>(request_.task)) AddText(request_.prompt);
    const bool embeds_prompt =
        MakesImage(request_.task) || std::holds_alternative<EmbedPrompt>(request_.task);
    if (!embeds_prompt) return std::move(plan_);
    if (request_.mix) {
      PlanMix(*request_.mix);
    } else if (request_.image_embedding != nullptr) {
      plan_.embedding.push_back({request_.image_embedding});
    } else {
      if (request_.prior_start) AddStart(request_.prior_start->from);
      request_.negative_prior_prompt ? PlanTwoRuns() : PlanOneRun();
    }
    return std::move(plan_);
  }

 private:
  int AddText(const std::string& text) {
    RecipeText planned = {kTextEncoder, text};
    const auto found = std::find(plan_.texts.begin(), plan_.texts.end(), planned);
    if (found != plan_.texts.end()) return static_cast<int>(found - plan_.texts.begin());
    plan_.texts.push_back(std::move(planned));
    return static_cast<int>(plan_.texts.size()) - 1;
  }

  int AddImage(InputImage image) {
    plan_.images.push_back(std::move(image));
    return static_cast<int>(plan_.images.size()) - 1;
  }

  void AddStart(const ImageOrEmbedding& from) {
    if (const auto* image = std::get_if<InputImage>(&from)) AddImage(*image);
  }

  int AddRun(int rows) {
    plan_.run_rows.push_back(rows);
    return static_cast<int>(plan_.run_rows.size()) - 1;
  }

  // The row of `text` with `unconditional` as the text of its unconditional pass.
  int AddRow(int run, int run_row, const std::string& text, const std::string& unconditional) {
    PriorRow row = {.text = AddText(text), .run = run, .run_row = run_row};
    // A text that is its own unconditional text needs no guidance: the two predictions are equal.
    if (guided_ && text != unconditional) row.unconditional = AddText(unconditional);
    plan_.rows.push_back(row);
    return static_cast<int>(plan_.rows.size()) - 1;
  }

  EmbeddingTerm RowTerm(int row, float weight = 1.0f) const { return {EmbeddingTerm::Row{row}, weight}; }

  // diffusers: a negative prompt doubles the rows of the prompt's run, and its own row becomes the negative
  // embedding.
  void PlanOneRun() {
    const bool doubled = request_.negative_prompt.has_value();
    const std::string negative = request_.negative_prompt.value_or("");
    const int run = AddRun(doubled ? 2 : 1);
    plan_.embedding.push_back(RowTerm(AddRow(run, 0, request_.prompt, negative)));
    if (doubled && reads_negative_) plan_.negative_row = AddRow(run, 1, negative, negative);
  }

  // The original package: the prompt's run is doubled by negative_prior_prompt, half of it is thrown away,
  // and a second run, without a negative text, makes the negative embedding; with an empty text that is the
  // zero image's.
  void PlanTwoRuns() {
    const int first = AddRun(2);
    plan_.embedding.push_back(RowTerm(AddRow(first, 0, request_.prompt, *request_.negative_prior_prompt)));
    const int second = AddRun(1);
    const std::string negative = request_.negative_prompt.value_or("");
    if (reads_negative_ && !negative.empty()) plan_.negative_row = AddRow(second, 0, negative, "");
  }

  void PlanMix(const Mix& mix) {
    const int run_rows = request_.negative_prior_prompt ? 2 : 1;
    const std::string unconditional = request_.negative_prior_prompt.value_or("");
    for (const MixPart& part : mix.parts) {
      if (const auto* text = std::get_if<std::string>(&part.content)) {
        plan_.embedding.push_back(RowTerm(AddRow(AddRun(run_rows), 0, *text, unconditional), part.weight));
      } else if (const auto* image = std::get_if<InputImage>(&part.content)) {
        plan_.embedding.push_back({EmbeddingTerm::EmbeddedImage{AddImage(*image)}, part.weight});
      } else {
        plan_.embedding.push_back({std::get<ImageEmbedding>(part.content), part.weight});
      }
    }
    // The run for the negative prompt comes last; its random numbers are drawn in any case.
    const int run = AddRun(run_rows);
    const std::string negative = request_.negative_prompt.value_or("");
    if (!reads_negative_) return;
    if (!negative.empty()) {
      plan_.negative_row = AddRow(run, 0, negative, unconditional);
    } else if (request_.negative_prior_prompt) {
      plan_.negative_row = AddRow(run, 1, unconditional, unconditional);
    }
  }

  const GenerationRequest& request_;
  const bool guided_;
  const bool reads_negative_;
  SampleRecipe plan_;
};

}  // namespace

SampleRecipe PlanPrior(const GenerationRequest& request) { return Planner(request).Run(); }

}  // namespace kandinsky
