#include "pipeline/kandinsky22/prior_plan.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "pipeline/kandinsky22/request_plan.h"
#include "pipeline/request_steps.h"

namespace kandinsky {
namespace {

using ::testing::ElementsAre;
using ::testing::IsEmpty;

GenerationRequest Prompt(const std::string& prompt) {
  GenerationRequest request;
  request.prompt = prompt;
  return request;
}

// "run.row: text | unconditional text", in the order of the rows.
std::vector<std::string> Rows(const SampleRecipe& plan) {
  std::vector<std::string> rows;
  for (const PriorRow& row : plan.rows) {
    rows.push_back(
        std::to_string(row.run) + "." + std::to_string(row.run_row) + ": " +
        plan.texts[static_cast<size_t>(row.text)].text +
        (row.unconditional < 0 ? "" : " | " + plan.texts[static_cast<size_t>(row.unconditional)].text));
  }
  return rows;
}

ImageEmbedding Embedding() { return std::make_shared<FloatTensor>(FloatTensor{{2}, {1, 2}}); }
InputImage SomeImage() { return std::make_shared<Image>(); }

TEST(PriorPlanTest, APromptIsOneRowGuidedByTheEmptyText) {
  const SampleRecipe plan = PlanPrior(Prompt("cat"));
  EXPECT_THAT(Rows(plan), ElementsAre("0.0: cat | "));
  EXPECT_THAT(plan.run_rows, ElementsAre(1));
  EXPECT_FALSE(plan.negative_row.has_value());
}

TEST(PriorPlanTest, ANegativePromptDoublesTheDrawsAndIsItsOwnUnconditionalText) {
  GenerationRequest request = Prompt("cat");
  request.negative_prompt = "dog";
  const SampleRecipe plan = PlanPrior(request);
  EXPECT_THAT(Rows(plan), ElementsAre("0.0: cat | dog", "0.1: dog"));
  EXPECT_THAT(plan.run_rows, ElementsAre(2));
  EXPECT_EQ(plan.negative_row, 1);
}

TEST(PriorPlanTest, WithoutDecoderGuidanceTheNegativeIsDrawnButNotSampled) {
  GenerationRequest request = Prompt("cat");
  request.negative_prompt = "dog";
  request.guidance_scale = 1;
  const SampleRecipe plan = PlanPrior(request);
  EXPECT_THAT(Rows(plan), ElementsAre("0.0: cat | dog"));
  EXPECT_THAT(plan.run_rows, ElementsAre(2));
}

TEST(PriorPlanTest, WithoutPriorGuidanceNoRowHasAnUnconditionalText) {
  GenerationRequest request = Prompt("cat");
  request.negative_prompt = "dog";
  request.prior_guidance_scale = 1;
  EXPECT_THAT(Rows(PlanPrior(request)), ElementsAre("0.0: cat", "0.1: dog"));
}

TEST(PriorPlanTest, ANegativePriorPromptMakesTheTwoRunsOfTheOriginalPackage) {
  GenerationRequest request = Prompt("cat");
  request.negative_prior_prompt = "ugly";
  SampleRecipe plan = PlanPrior(request);
  EXPECT_THAT(Rows(plan), ElementsAre("0.0: cat | ugly"));
  EXPECT_THAT(plan.run_rows, ElementsAre(2, 1));
  EXPECT_FALSE(plan.negative_row.has_value());

  request.negative_prompt = "dog";
  plan = PlanPrior(request);
  EXPECT_THAT(Rows(plan), ElementsAre("0.0: cat | ugly", "1.0: dog | "));
  EXPECT_EQ(plan.negative_row, 1);
}

TEST(PriorPlanTest, AGivenNegativeEmbeddingReplacesOnlyTheNegativeRow) {
  GenerationRequest request = Prompt("cat");
  request.negative_prompt = "dog";
  request.negative_image_embedding = Embedding();
  const SampleRecipe plan = PlanPrior(request);
  EXPECT_THAT(Rows(plan), ElementsAre("0.0: cat | dog"));
  EXPECT_THAT(plan.run_rows, ElementsAre(2));
  EXPECT_NE(plan.negative_embedding, nullptr);
}

TEST(PriorPlanTest, AGivenEmbeddingNeedsNoRunAtAll) {
  GenerationRequest request;
  request.image_embedding = Embedding();
  const SampleRecipe plan = PlanPrior(request);
  EXPECT_THAT(plan.rows, IsEmpty());
  EXPECT_THAT(plan.run_rows, IsEmpty());
  ASSERT_EQ(plan.embedding.size(), 1u);
  EXPECT_EQ(std::get<ImageEmbedding>(plan.embedding[0].source), request.image_embedding);
}

TEST(PriorPlanTest, AMixRunsOncePerTextAndOnceMoreForItsNegative) {
  GenerationRequest request;
  request.mix =
      Mix{{{std::string("cat"), 0.3f}, {SomeImage(), 0.5f}, {std::string("sea"), 0.2f}, {Embedding(), -1}}};
  SampleRecipe plan = PlanPrior(request);
  EXPECT_THAT(Rows(plan), ElementsAre("0.0: cat | ", "1.0: sea | "));
  EXPECT_THAT(plan.run_rows, ElementsAre(1, 1, 1));
  EXPECT_FALSE(plan.negative_row.has_value());
  ASSERT_EQ(plan.embedding.size(), 4u);
  EXPECT_EQ(std::get<EmbeddingTerm::Row>(plan.embedding[2].source).index, 1);
  EXPECT_FLOAT_EQ(plan.embedding[3].weight, -1);
  EXPECT_EQ(plan.images.size(), 1u);

  request.negative_prompt = "fog";
  plan = PlanPrior(request);
  EXPECT_THAT(Rows(plan), ElementsAre("0.0: cat | ", "1.0: sea | ", "2.0: fog | "));
  EXPECT_EQ(plan.negative_row, 2);
}

TEST(PriorPlanTest, ANegativePriorPromptAloneIsTheNegativeOfAMix) {
  GenerationRequest request;
  request.mix = Mix{{{std::string("cat"), 1.0f}}};
  request.negative_prior_prompt = "ugly";
  const SampleRecipe plan = PlanPrior(request);
  EXPECT_THAT(Rows(plan), ElementsAre("0.0: cat | ugly", "1.1: ugly"));
  EXPECT_THAT(plan.run_rows, ElementsAre(2, 2));
  EXPECT_EQ(plan.negative_row, 1);
}

TEST(PriorPlanTest, AMixWithoutTextsHasNothingToSampleButStillDraws) {
  GenerationRequest request;
  request.mix = Mix{{{SomeImage(), 1.0f}, {Embedding(), 1.0f}}};
  for (const Task& task : {Task(TextToImage{}), Task(Inpaint{}), Task(EmbedPrompt{})}) {
    request.task = task;
    const SampleRecipe plan = PlanPrior(request);
    EXPECT_THAT(plan.rows, IsEmpty());
    EXPECT_THAT(plan.run_rows, ElementsAre(1));
    EXPECT_FALSE(RunsPrior(request)) << TaskName(task);
  }
}

TEST(PriorPlanTest, AMixIsPlannedAlikeForEveryTask) {
  GenerationRequest request;
  request.mix = Mix{{{std::string("cat"), 0.3f}, {SomeImage(), 0.5f}, {std::string("sea"), 0.2f}}};
  request.negative_prompt = "fog";
  request.negative_prior_prompt = "ugly";
  for (const Task& task : {Task(TextToImage{}), Task(ImageToImage{}), Task(Inpaint{}), Task(ControlNet{}),
                           Task(EmbedPrompt{})}) {
    request.task = task;
    const SampleRecipe plan = PlanPrior(request);
    EXPECT_THAT(Rows(plan), ElementsAre("0.0: cat | ugly", "1.0: sea | ugly", "2.0: fog | ugly"));
    EXPECT_THAT(plan.run_rows, ElementsAre(2, 2, 2));
    EXPECT_EQ(plan.negative_row, 2);
    EXPECT_EQ(plan.images.size(), 1u) << "of the mix alone, whatever " << TaskName(task) << " starts from";
  }
}

TEST(PriorPlanTest, TheEmbeddingsOfAMixAreMadeWithItsNegativeWhateverTheDecodersGuidance) {
  GenerationRequest request;
  request.mix = Mix{{{SomeImage(), 1.0f}}};
  request.negative_prompt = "fog";
  request.guidance_scale = 1;
  EXPECT_FALSE(RunsPrior(request));
  request.task = EmbedPrompt{};
  EXPECT_TRUE(RunsPrior(request));
  EXPECT_EQ(PlanPrior(request).negative_row, 0);
}

TEST(PriorPlanTest, RequestPlansAgreeOnWhetherThePriorRuns) {
  std::vector<GenerationRequest> requests;
  for (const bool guided : {true, false}) {
    for (const char* negative : {static_cast<const char*>(nullptr), "", "dog"}) {
      for (const char* negative_prior : {static_cast<const char*>(nullptr), "", "ugly"}) {
        for (int task = 0; task < 9; ++task) {
          GenerationRequest request = Prompt("cat");
          if (task == 1 || task >= 6) request.mix = Mix{{{SomeImage(), 1.0f}}};
          if (task == 6) request.task = EmbedPrompt{};
          if (task == 7) request.task = ImageToImage{};
          if (task == 8) request.task = ControlNet{};
          if (task == 2) request.task = EmbedPrompt{};
          if (task == 3) request.image_embedding = Embedding();
          if (task == 4) request.negative_image_embedding = Embedding();
          if (task == 5) request.prior_start = PriorStart{SomeImage(), 1.0f};
          request.guidance_scale = guided ? 4 : 1;
          if (negative != nullptr) request.negative_prompt = negative;
          if (negative_prior != nullptr) request.negative_prior_prompt = negative_prior;
          requests.push_back(request);
        }
      }
    }
  }
  for (const GenerationRequest& request : requests) {
    const std::vector<PlannedPhase> phases = PlanRequest(request, {}).phases;
    const bool embeds_images = std::any_of(phases.begin(), phases.end(), [](const PlannedPhase& phase) {
      return phase.key.network == kImageEncoder;
    });
    EXPECT_EQ(embeds_images, !PlanPrior(request).images.empty()) << TaskName(request.task);
    EXPECT_EQ(RunsPrior(request), !PlanPrior(request).rows.empty())
        << TaskName(request.task) << " " << request.negative_prompt.value_or("-") << " "
        << request.negative_prior_prompt.value_or("-") << " " << request.guidance_scale;
  }
}

}  // namespace
}  // namespace kandinsky
