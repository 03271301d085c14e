#include "pipeline/plan.h"

namespace kandinsky {

const char* StageName(Stage stage) {
  switch (stage) {
    case Stage::kEncode:
      return "encode";
    case Stage::kPrior:
      return "prior";
    case Stage::kDenoise:
      return "denoise";
    case Stage::kDecode:
      return "decode";
    case Stage::kDone:
      return "done";
  }
  return "unknown";
}

int Plan::StepsOf(Stage stage) const {
  int steps = 0;
  for (const PlannedPhase& phase : phases) steps += phase.key.stage == stage ? phase.steps : 0;
  return steps;
}

int Plan::TotalSteps() const {
  int steps = 0;
  for (const PlannedPhase& phase : phases) steps += phase.steps;
  return steps;
}

PlanCursor::PlanCursor(std::shared_ptr<const Plan> plan) : plan_(std::move(plan)) {}

const BatchKey& PlanCursor::key() const {
  static const BatchKey* const done = new BatchKey{.stage = Stage::kDone};
  return ended() ? *done : phase().key;
}

StageProgress PlanCursor::progress() const {
  StageProgress progress = {.stage = stage(), .step = step_, .total_steps = plan_->StepsOf(stage())};
  for (size_t i = 0; i < phase_; ++i) {
    const PlannedPhase& earlier = plan_->phases[i];
    if (earlier.key.stage == progress.stage) progress.step += earlier.steps;
  }
  return progress;
}

StepCost PlanCursor::cost() const {
  if (ended()) return {};
  StepCost cost = phase().cost;
  if (step_ + 1 == phase().steps) cost.memory_bytes += phase().last_step_bytes;
  return cost;
}

int PlanCursor::remaining_steps() const {
  int steps = -step_;
  for (size_t i = phase_; i < plan_->phases.size(); ++i) steps += plan_->phases[i].steps;
  return steps;
}

bool PlanCursor::IsLastOfStage() const {
  if (ended() || step_ + 1 < phase().steps) return false;
  return phase_ + 1 == plan_->phases.size() || plan_->phases[phase_ + 1].key.stage != stage();
}

Stage PlanCursor::NextStage() const {
  for (size_t i = phase_; i < plan_->phases.size(); ++i) {
    if (plan_->phases[i].key.stage != stage()) return plan_->phases[i].key.stage;
  }
  return Stage::kDone;
}

void PlanCursor::Advance() {
  if (ended() || ++step_ < phase().steps) return;
  ++phase_;
  step_ = 0;
}

void PlanCursor::End() {
  phase_ = plan_->phases.size();
  step_ = 0;
}

}  // namespace kandinsky
