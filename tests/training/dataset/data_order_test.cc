#include "training/dataset/data_order.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <set>

namespace kandinsky::training {
namespace {

using testing::ElementsAre;

std::vector<int64_t> Take(DataOrder& order, int64_t begin, int64_t count) {
  std::vector<int64_t> taken;
  for (int64_t i = 0; i < count; ++i) taken.push_back(order.At(begin + i));
  return taken;
}

TEST(DataOrderTest, EveryEpochHasEverySampleOnce) {
  for (const int64_t size : {1, 2, 3, 100}) {
    DataOrder order(size, 5);
    for (int64_t epoch = 0; epoch < 4; ++epoch) {
      const std::vector<int64_t> taken = Take(order, epoch * size, size);
      EXPECT_EQ(std::set<int64_t>(taken.begin(), taken.end()).size(), static_cast<size_t>(size));
      EXPECT_EQ(*std::min_element(taken.begin(), taken.end()), 0);
      EXPECT_EQ(*std::max_element(taken.begin(), taken.end()), size - 1);
    }
  }
}

// Computed by another implementation of the same definition, in Python.
TEST(DataOrderTest, IsTheSameOnEveryPlatform) {
  DataOrder order(8, 0);
  EXPECT_THAT(Take(order, 0, 8), ElementsAre(0, 7, 6, 2, 4, 5, 3, 1));
  EXPECT_THAT(Take(order, 8, 8), ElementsAre(0, 4, 5, 6, 1, 3, 7, 2));
  DataOrder other(8, 7);
  EXPECT_THAT(Take(other, 0, 8), ElementsAre(6, 2, 4, 0, 5, 1, 7, 3));
}

TEST(DataOrderTest, GoesOnFromAnyPositionAsIfNeverPaused) {
  DataOrder whole(10, 3);
  const std::vector<int64_t> expected = Take(whole, 0, 35);
  for (const int64_t begin : {0, 7, 10, 19, 34}) {
    DataOrder resumed(10, 3);
    EXPECT_EQ(Take(resumed, begin, 35 - begin),
              std::vector<int64_t>(expected.begin() + begin, expected.end()));
  }
  EXPECT_EQ(whole.At(2), expected[2]) << "backwards";
}

TEST(DataOrderTest, ChangesWithSeedAndEpoch) {
  DataOrder one(1000, 1);
  DataOrder two(1000, 2);
  EXPECT_NE(Take(one, 0, 1000), Take(two, 0, 1000));
  EXPECT_NE(Take(one, 0, 1000), Take(one, 1000, 1000));
}

TEST(DataOrderTest, PutsEverySampleEverywhereEquallyOften) {
  // 6000 epochs of 3 samples: each of the 6 orders 1000 times, with a standard deviation of 29.
  DataOrder order(3, 11);
  std::vector<int> counts(27);
  for (int64_t epoch = 0; epoch < 6000; ++epoch) {
    const std::vector<int64_t> taken = Take(order, 3 * epoch, 3);
    ++counts[static_cast<size_t>(9 * taken[0] + 3 * taken[1] + taken[2])];
  }
  int orders = 0;
  for (const int count : counts) {
    if (count == 0) continue;
    ++orders;
    EXPECT_NEAR(count, 1000, 150);
  }
  EXPECT_EQ(orders, 6);
}

TEST(MixSeedTest, IsTheSameOnEveryPlatform) {
  EXPECT_EQ(MixSeed(0, 0, 0), 0x238275bc38fcbe91u);
  EXPECT_EQ(MixSeed(1, 2, 3), 0xd0734750fde362b3u);
  EXPECT_EQ(MixSeed(UINT64_MAX, UINT64_MAX, UINT64_MAX), 0x595b17f487c0e71bu);
}

TEST(MixSeedTest, GivesNeighborsDifferentSeeds) {
  std::set<uint64_t> seeds;
  for (uint64_t seed = 0; seed < 20; ++seed) {
    for (uint64_t stream = 0; stream < 20; ++stream) {
      for (uint64_t step = 0; step < 20; ++step) seeds.insert(MixSeed(seed, stream, step));
    }
  }
  EXPECT_EQ(seeds.size(), 8000u);
}

}  // namespace
}  // namespace kandinsky::training
