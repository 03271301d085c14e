#include "pipeline/kandinsky22/request_plan.h"

#include <optional>
#include <variant>

#include "pipeline/capabilities.h"
#include "pipeline/kandinsky22/prior_plan.h"
#include "pipeline/request_steps.h"

namespace kandinsky {
namespace {

// Whether the image is encoded for its pixels, rather than for its meaning.
bool EncodesLatents(const Task& task) {
  const auto* control = std::get_if<ControlNet>(&task);
  return std::holds_alternative<ImageToImage>(task) || std::holds_alternative<Inpaint>(task) ||
         std::holds_alternative<EncodeLatents>(task) || (control != nullptr && control->init.has_value());
}

int PriorSteps(const GenerationRequest& request) {
  if (!RunsPrior(request)) return 0;
  return request.prior_start ? StepsAtStrength(request.prior_steps, request.prior_start->strength)
                             : request.prior_steps;
}

bool DecodesImage(const GenerationRequest& request) {
  const bool wanted = request.output.image || request.output.pixels;
  return wanted && (MakesImage(request.task) || std::holds_alternative<DecodeLatents>(request.task));
}

class Planner {
 public:
  Planner(const GenerationRequest& request, const PlanContext& context)
      : request_(request),
        context_(context),
        prior_(PlanPrior(request)),
        latent_height_(request.height / context.latent_scale),
        latent_width_(request.width / context.latent_scale) {}

  Plan Run() {
    AddEncode();
    AddPrior();
    AddDenoise();
    if (DecodesImage(request_)) {
      Add({.stage = Stage::kDecode, .network = kMovqDecoder}, 1, Spatial(1, context_.memory.decode));
    }
    return std::move(plan_);
  }

 private:
  int64_t cells() const { return int64_t{latent_height_} * latent_width_; }
  StepCost Spatial(int rows, int64_t bytes_per_cell) const {
    return {.network_rows = rows,
            .latent_pixels = rows * cells(),
            .memory_bytes = rows * cells() * bytes_per_cell};
  }
  static StepCost Flat(int rows, int64_t bytes_per_row) { return {rows, 0, rows * bytes_per_row}; }

  void Add(BatchKey key, int steps, const StepCost& cost) {
    if (steps == 0) return;
    if (cost.latent_pixels > 0) {
      key.latent_height = latent_height_;
      key.latent_width = latent_width_;
    }
    plan_.phases.push_back({.key = std::move(key), .steps = steps, .cost = cost});
  }

  void AddEncode() {
    const StepMemory& memory = context_.memory;
    if (RunsPrior(request_) || std::holds_alternative<EmbedText>(request_.task)) {
      const int texts = std::max(1, static_cast<int>(prior_.texts.size()));
      // With the texts goes the prior's prefix.
      Add({.stage = Stage::kEncode, .network = kTextEncoder, .adapter = context_.adapters.prior}, 1,
          Flat(texts, memory.text));
    }
    if (!prior_.images.empty()) {
      const int images = static_cast<int>(prior_.images.size());
      Add({.stage = Stage::kEncode, .network = kImageEncoder}, 1, Flat(images, memory.image));
    }
    if (EncodesLatents(request_.task)) {
      Add({.stage = Stage::kEncode, .network = kMovqEncoder}, 1, Spatial(1, memory.decode));
    }
    if (plan_.phases.empty()) Add({.stage = Stage::kEncode, .network = kNoNetwork}, 1, Flat(1, 0));
  }

  void AddPrior() {
    int rows = 0;
    for (const PriorRow& row : prior_.rows) rows += row.unconditional >= 0 ? 2 : 1;
    Add({.stage = Stage::kPrior, .network = kPrior, .adapter = context_.adapters.prior}, PriorSteps(request_),
        Flat(rows, context_.memory.prior));
  }

  void AddDenoise() {
    const int steps = DenoiseSteps(request_);
    if (steps > 0 && std::holds_alternative<ControlNet>(request_.task)) {
      plan_.phases.back().last_step_bytes = cells() * context_.memory.hint;
    }
    const bool guided = request_.guidance_scale > 1;
    if (steps == 0) return;
    Add({.stage = Stage::kDenoise,
         .network = NetworkOf(request_.task),
         .guided = guided,
         .adapter = context_.adapters.denoiser},
        steps, Spatial(guided ? 2 : 1, context_.memory.denoise));
  }

  const GenerationRequest& request_;
  const PlanContext& context_;
  const SampleRecipe prior_;
  const int latent_height_;
  const int latent_width_;
  Plan plan_;
};

}  // namespace

Plan PlanRequest(const GenerationRequest& request, const PlanContext& context) {
  return Planner(request, context).Run();
}

}  // namespace kandinsky
