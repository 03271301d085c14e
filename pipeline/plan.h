#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <utility>
#include <vector>

namespace kandinsky {

// Stages of a sample, in order. Which of them a request passes, and how many steps each has, is what its Plan
// says; no stage is in every plan. kDone is final and has no steps.
enum class Stage { kEncode, kPrior, kDenoise, kDecode, kDone };

// "encode", "prior", "denoise", "decode", "done".
const char* StageName(Stage stage);

// What must agree for two samples to share a step: not seed, prompt, step index, steps or guidance value.
struct BatchKey {
  Stage stage = Stage::kEncode;
  std::string network = {};  // which weights the step runs, e.g. "prior"
  int latent_height = 0;     // 0 for networks that have no spatial size
  int latent_width = 0;
  bool guided = false;       // two network rows (unconditional, conditional) per sample instead of one
  std::string adapter = {};  // the set of adapters in the weights; empty: none

  friend bool operator==(const BatchKey&, const BatchKey&) = default;

  template <typename H>
  friend H AbslHashValue(H state, const BatchKey& key) {
    return H::combine(std::move(state), key.stage, key.network, key.latent_height, key.latent_width,
                      key.guided, key.adapter);
  }
};

// Where a sample stands. `step` counts finished steps of `stage`.
struct StageProgress {
  Stage stage = Stage::kEncode;
  int step = 0;
  int total_steps = 0;
};

// What one more step of a sample costs, for planning.
struct StepCost {
  int network_rows = 1;       // rows that the sample adds to a batched forward pass
  int64_t latent_pixels = 0;  // latent height x width x network_rows; 0 in stages without a spatial size
  int64_t memory_bytes = 0;   // what the step needs for it beside the weights, an estimate; 0: unknown
};

// A run of steps through one network.
struct PlannedPhase {
  BatchKey key;
  int steps = 1;  // >= 1
  StepCost cost = {};
  int64_t last_step_bytes = 0;  // memory that the last of the steps needs beside `cost`
};

// The work of one image, embedding or text, as the Model plans it; the same for all images of a request.
// Immutable once made, and shared by whoever handles the request.
struct Plan {
  // >= 1, by stage; a stage may have several.
  std::vector<PlannedPhase> phases;

  int StepsOf(Stage stage) const;
  int TotalSteps() const;
};

// A sample's place in its plan.
class PlanCursor {
 public:
  // Stands before the first step. `plan` has a phase.
  explicit PlanCursor(std::shared_ptr<const Plan> plan);

  const Plan& plan() const { return *plan_; }
  Stage stage() const { return key().stage; }
  // Of the next step.
  const BatchKey& key() const;
  StageProgress progress() const;
  StepCost cost() const;
  // Steps that remain in all stages, the next one included.
  int remaining_steps() const;
  // Whether the next step is the last of its stage; false at the end.
  bool IsLastOfStage() const;
  // The stage after the running one.
  Stage NextStage() const;

  // Ends a step. Never throws.
  void Advance();
  // Leaves out all that remains. Never throws.
  void End();

 private:
  const PlannedPhase& phase() const { return plan_->phases[phase_]; }
  bool ended() const { return phase_ == plan_->phases.size(); }

  const std::shared_ptr<const Plan> plan_;
  size_t phase_ = 0;
  int step_ = 0;  // finished steps of the phase
};

}  // namespace kandinsky
