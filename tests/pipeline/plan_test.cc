#include "pipeline/plan.h"

#include <gtest/gtest.h>

namespace kandinsky {
namespace {

PlannedPhase Phase(Stage stage, const char* network, int steps) {
  return {.key = {.stage = stage, .network = network}, .steps = steps, .cost = {.memory_bytes = steps}};
}

// Two networks in one stage, none of another, and 30 bytes more in the last step of the second phase.
std::shared_ptr<const Plan> APlan() {
  Plan plan = {.phases = {Phase(Stage::kEncode, "first", 1), Phase(Stage::kEncode, "second", 2),
                          Phase(Stage::kDenoise, "unet", 3)}};
  plan.phases[1].last_step_bytes = 30;
  return std::make_shared<const Plan>(std::move(plan));
}

TEST(PlanTest, CountsStepsByStageAndInAll) {
  EXPECT_EQ(APlan()->StepsOf(Stage::kEncode), 3);
  EXPECT_EQ(APlan()->StepsOf(Stage::kPrior), 0);
  EXPECT_EQ(APlan()->StepsOf(Stage::kDone), 0);
  EXPECT_EQ(APlan()->TotalSteps(), 6);
}

TEST(PlanCursorTest, PassesEveryStepOfEveryPhaseAndEndsInDone) {
  PlanCursor cursor(APlan());
  std::vector<std::string> networks;
  std::vector<int> steps;
  for (int left = 6; left > 0; --left) {
    EXPECT_EQ(cursor.remaining_steps(), left);
    networks.push_back(cursor.key().network);
    steps.push_back(cursor.progress().step);
    EXPECT_EQ(cursor.progress().total_steps, 3);
    cursor.Advance();
  }
  EXPECT_EQ(networks, (std::vector<std::string>{"first", "second", "second", "unet", "unet", "unet"}));
  EXPECT_EQ(steps, (std::vector<int>{0, 1, 2, 0, 1, 2}));
  EXPECT_EQ(cursor.stage(), Stage::kDone);
  EXPECT_EQ(cursor.remaining_steps(), 0);
  EXPECT_EQ(cursor.progress().total_steps, 0);
  cursor.Advance();
  EXPECT_EQ(cursor.stage(), Stage::kDone);
}

TEST(PlanCursorTest, TheLastStepOfAStageIsNotThatOfAPhase) {
  PlanCursor cursor(APlan());
  EXPECT_FALSE(cursor.IsLastOfStage());
  EXPECT_EQ(cursor.NextStage(), Stage::kDenoise);
  cursor.Advance();
  cursor.Advance();
  EXPECT_TRUE(cursor.IsLastOfStage());
  cursor.Advance();
  EXPECT_EQ(cursor.NextStage(), Stage::kDone);
}

TEST(PlanCursorTest, TheLastStepOfAPhaseCostsWhatItNeedsMore) {
  PlanCursor cursor(APlan());
  cursor.Advance();
  EXPECT_EQ(cursor.cost().memory_bytes, 2);
  cursor.Advance();
  EXPECT_EQ(cursor.cost().memory_bytes, 32);
}

TEST(PlanCursorTest, EndLeavesOutTheRest) {
  PlanCursor cursor(APlan());
  cursor.Advance();
  cursor.End();
  EXPECT_EQ(cursor.stage(), Stage::kDone);
  EXPECT_EQ(cursor.remaining_steps(), 0);
}

}  // namespace
}  // namespace kandinsky
