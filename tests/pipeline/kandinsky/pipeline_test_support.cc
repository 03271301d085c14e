#include "tests/pipeline/kandinsky/pipeline_test_support.h"

#include <gtest/gtest.h>

#include <cmath>
#include <cstdlib>
#include <iostream>
#include <utility>

#include "pipeline/kandinsky/kandinsky_pipeline_factory.h"

namespace kandinsky {

std::string GoldenDirectory() {
  const char* overridden = std::getenv("KANDINSKY_GOLDEN_DIR");
  return overridden != nullptr ? overridden : KANDINSKY_SOURCE_DIR "/tests/golden/diffusers";
}

std::unique_ptr<Pipeline> LoadGoldenPipeline() {
  const auto factories =
      LoadKandinsky({.model_name = "golden", .model_path = GoldenDirectory() + "/models/b", .threads = 1}, 1);
  if (!factories.ok()) {
    std::cerr << factories.status() << "\n";
    std::abort();
  }
  return std::move(*factories->front()());
}

GenerationRequest TinyRequest(uint64_t seed) {
  GenerationRequest request;
  request.prompt = seed % 2 == 0 ? "red cat, 4k photo" : "a small house in the forest";
  request.width = 64;
  request.height = 64;
  request.steps = 4 + static_cast<int>(seed % 3);
  request.prior_steps = 3 + static_cast<int>(seed % 2);
  request.guidance_scale = 3.0f + 0.5f * static_cast<float>(seed % 3);
  request.seed = seed;
  request.output.latents = true;
  return request;
}

GenerationResult RunAlone(Pipeline& pipeline, const GenerationRequest& request) {
  return std::move(RunBatched(pipeline, {request}, {0}, 1).front());
}

std::vector<GenerationResult> RunBatched(Pipeline& pipeline, const std::vector<GenerationRequest>& requests,
                                         const std::vector<int>& joins, size_t max_rows) {
  std::vector<std::unique_ptr<Generation>> generations(requests.size());
  size_t finished = 0;
  for (int round = 0; finished < requests.size(); ++round) {
    for (size_t i = 0; i < requests.size(); ++i) {
      if (joins[i] != round) continue;
      auto admitted = pipeline.Admit(requests[i]);
      EXPECT_TRUE(admitted.ok()) << admitted.status();
      generations[i] = std::move(*admitted);
    }
    std::vector<Generation*> batch;
    for (const auto& generation : generations) {
      if (generation == nullptr || generation->stage() == Stage::kDone || batch.size() == max_rows) continue;
      if (batch.empty() || generation->batch_key() == batch.front()->batch_key())
        batch.push_back(generation.get());
    }
    if (batch.empty()) continue;
    const absl::Status status = pipeline.Step(batch);
    EXPECT_TRUE(status.ok()) << status;
    if (!status.ok()) return {};
    for (const Generation* generation : batch) finished += generation->stage() == Stage::kDone;
  }
  std::vector<GenerationResult> results;
  for (const auto& generation : generations) {
    auto result = generation->TakeResult();
    EXPECT_TRUE(result.ok()) << result.status();
    results.push_back(std::move(*result));
  }
  return results;
}

double RelativeDifference(const GenerationResult& a, const GenerationResult& b) {
  EXPECT_EQ(a.latents->values.size(), b.latents->values.size());
  double difference = 0;
  double norm = 0;
  for (size_t i = 0; i < b.latents->values.size(); ++i) {
    const double delta = double{a.latents->values[i]} - double{b.latents->values[i]};
    difference += delta * delta;
    norm += double{b.latents->values[i]} * double{b.latents->values[i]};
  }
  return std::sqrt(difference / norm);
}

}  // namespace kandinsky
