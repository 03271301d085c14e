#include "pipeline/models/half_conversion.h"

#include <ATen/ATen.h>
#include <gtest/gtest.h>

#include <cmath>
#include <cstring>
#include <new>
#include <vector>

#include "pipeline/models/half_conversion_variants.h"
#include "pipeline/models/weight_memory.h"

namespace kandinsky {
namespace {

std::vector<uint16_t> AllHalves() {
  std::vector<uint16_t> halves(size_t{1} << 16);
  for (size_t i = 0; i < halves.size(); ++i) halves[i] = static_cast<uint16_t>(i);
  return halves;
}

TEST(HalfConversionTest, GivesTheBitsOfTheLibraryForEveryHalf) {
  const std::vector<uint16_t> halves = AllHalves();
  const auto count = static_cast<int64_t>(halves.size());
  const torch::Tensor expected =
      at::from_blob(const_cast<uint16_t*>(halves.data()), {count}, at::kHalf).to(at::kFloat);
  for (const auto convert : {HalvesToFloats, HalvesToFloatsPlain}) {
    std::vector<float> floats(halves.size());
    convert(halves.data(), count, floats.data());
    for (size_t i = 0; i < halves.size(); ++i) {
      const float wanted = expected.const_data_ptr<float>()[i];
      if (std::isnan(wanted)) {
        EXPECT_TRUE(std::isnan(floats[i])) << i;
      } else {
        EXPECT_EQ(std::memcmp(&floats[i], &wanted, sizeof(float)), 0) << i;
      }
    }
  }
}

TEST(HalfConversionTest, TellsOfOneInfinityOrNanWhereverItIs) {
  for (const auto convert : {HalvesToFloats, HalvesToFloatsPlain}) {
    for (const int64_t count : {1, 7, 16, 33, 100}) {
      std::vector<uint16_t> halves(static_cast<size_t>(count), 0x7bff);  // the largest number
      std::vector<float> floats(halves.size());
      EXPECT_TRUE(convert(halves.data(), count, floats.data()));
      for (size_t i = 0; i < halves.size(); ++i) {
        for (const uint16_t special : {0x7c00, 0xfc00, 0x7e01}) {
          halves[i] = special;
          EXPECT_FALSE(convert(halves.data(), count, floats.data())) << i << " of " << count;
        }
        halves[i] = 0;
      }
    }
  }
}

TEST(HalfConversionTest, TensorsOfEverySizeKeepShapeAndValues) {
  const std::vector<std::vector<int64_t>> shapes = {{3, 5}, {0, 4}, {}, {1111, 700}};
  for (const std::vector<int64_t>& shape : shapes) {
    const torch::Tensor stored = at::randn(shape).to(at::kHalf);
    bool finite = false;
    const torch::Tensor weight = FloatWeight(stored, finite);
    EXPECT_TRUE(finite);
    EXPECT_EQ(weight.scalar_type(), at::kFloat);
    EXPECT_EQ(weight.sizes(), at::IntArrayRef(shape));
    EXPECT_TRUE(weight.equal(stored.to(at::kFloat))) << at::IntArrayRef(shape);
  }
}

TEST(WeightMemoryTest, AnySizeCanBeWrittenToItsLastElement) {
  for (const int64_t count : {0, 1, 1 << 19, (1 << 19) + 1, 3'000'000}) {
    const torch::Tensor weight = EmptyWeight({count});
    EXPECT_EQ(weight.sizes(), at::IntArrayRef{count});
    EXPECT_EQ(weight.fill_(1).sum().item<double>(), static_cast<double>(count));
  }
}

TEST(WeightMemoryTest, MemoryThatCannotBeHadIsABadAllocation) {
  EXPECT_THROW(EmptyWeight({int64_t{1} << 45}), std::bad_alloc);
}

}  // namespace
}  // namespace kandinsky
