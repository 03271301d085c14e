#include "pipeline/samplers/guidance.h"

#include <ATen/ATen.h>
#include <gtest/gtest.h>

#include <cmath>
#include <optional>
#include <vector>

#include "pipeline/samplers/batch_rows.h"

namespace kandinsky {
namespace {

using Scales = std::vector<std::optional<float>>;

TEST(GuideTest, EveryRowIsItsOwnFormula) {
  const torch::Tensor rows = torch::randn({6, 8, 3, 5}).contiguous(at::MemoryFormat::ChannelsLast);
  const Scales scales = {4.0f, std::nullopt, 1.5f, std::nullopt};
  const NetworkOutput output = Guide(rows, scales, 4);
  const auto guided = [&](int64_t unconditional, float scale) {
    const torch::Tensor from = rows[unconditional].narrow(0, 0, 4);
    return from + scale * (rows[unconditional + 1].narrow(0, 0, 4) - from);
  };
  EXPECT_TRUE(output.prediction.is_contiguous());
  EXPECT_TRUE(torch::equal(output.prediction[0], guided(0, 4.0f)));
  EXPECT_TRUE(torch::equal(output.prediction[1], rows[2].narrow(0, 0, 4)));
  EXPECT_TRUE(torch::equal(output.prediction[2], guided(3, 1.5f)));
  EXPECT_TRUE(torch::equal(output.prediction[3], rows[5].narrow(0, 0, 4)));
  const std::vector<int64_t> conditional = {1, 2, 4, 5};
  for (size_t i = 0; i < conditional.size(); ++i) {
    EXPECT_TRUE(torch::equal(output.variance[static_cast<int64_t>(i)], rows[conditional[i]].narrow(0, 4, 4)));
  }
}

TEST(GuideTest, RowsWithoutGuidanceAreCopiedAsTheyAre) {
  const torch::Tensor rows = torch::full({3, 2}, -0.0f);
  const NetworkOutput output = Guide(rows, Scales{std::nullopt, 2.0f}, 2);
  EXPECT_TRUE(std::signbit(output.prediction[0][0].item<float>()));
  EXPECT_FALSE(output.variance.defined());
}

TEST(RowGroupsTest, MergeIsTheInverseOfGather) {
  RowGroups groups;
  const torch::Tensor batch = torch::arange(9);
  for (const auto& [group, count] : {std::pair{1, 2}, {0, 1}, {0, 2}, {3, 1}, {1, 3}}) {
    groups.Add(static_cast<size_t>(group), count);
  }
  std::vector<torch::Tensor> parts;
  for (size_t group = 0; group < 4; ++group) parts.push_back(groups.Gather(group, batch));
  EXPECT_TRUE(torch::equal(parts[0], torch::tensor({2, 3, 4})));
  EXPECT_TRUE(torch::equal(parts[1], torch::tensor({0, 1, 6, 7, 8})));
  EXPECT_FALSE(parts[2].defined());
  EXPECT_TRUE(torch::equal(groups.Merge(parts), batch));
}

TEST(RowGroupsTest, AUniformBatchIsNotCopied) {
  RowGroups groups;
  groups.Add(1, 2);
  groups.Add(1, 3);
  const torch::Tensor batch = torch::zeros({5, 2});
  EXPECT_TRUE(groups.Gather(1, batch).is_same(batch));
  EXPECT_FALSE(groups.Gather(0, batch).defined());
  EXPECT_TRUE(groups.Merge(std::vector<torch::Tensor>{{}, batch}).is_same(batch));
}

TEST(MixRowsTest, AddsNoiseLikeEverySamplerByItself) {
  const torch::Tensor clean = torch::randn({2, 4, 3, 3});
  const torch::Tensor noise = torch::randn({2, 4, 3, 3});
  const auto first = *MakeDdimSampler(SamplerConfig(), 10, 0.0f);
  const auto second = *MakeEulerSampler(SamplerConfig(), 7);
  const torch::Tensor mixed =
      MixRows(std::vector<NoiseMixture>{first->MixtureAt(3), second->MixtureAt(1)}, clean, noise);
  EXPECT_TRUE(torch::equal(mixed[0], first->AddNoise(clean[0], noise[0], 3)));
  EXPECT_TRUE(torch::equal(mixed[1], second->AddNoise(clean[1], noise[1], 1)));
}

}  // namespace
}  // namespace kandinsky
