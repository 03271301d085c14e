#include "pipeline/models/share_weights.h"

#include <c10/core/CPUAllocator.h>
#include <gtest/gtest.h>

#include <memory>

#include "pipeline/models/layers.h"
#include "tests/pipeline/models/model_test_support.h"

namespace kandinsky {
namespace {

using testing::ChannelsLast;
using testing::RandomizeParameters;
using testing::RandomTensor;

// Convolutions of both prepared forms, with a norm and a matrix product.
class Block : public torch::nn::Module {
 public:
  Block() {
    winograd_ = register_module("winograd", MakeConv3x3(16, 16));
    strided_ = register_module("strided", std::make_shared<Conv2d>(Conv2dOptions{
                                              .in_channels = 16, .out_channels = 8, .stride = 2}));
    norm_ = register_module("norm", std::make_shared<GroupNorm>(2, 8, 1e-5));
    linear = register_module("linear", std::make_shared<Linear>(4, 3));
  }

  torch::Tensor forward(const torch::Tensor& x) const {
    return linear->forward(norm_->forward(strided_->forward(winograd_->forward(ChannelsLast(x)))));
  }

  std::shared_ptr<Linear> linear;

 private:
  std::shared_ptr<Conv2d> winograd_;
  std::shared_ptr<Conv2d> strided_;
  std::shared_ptr<GroupNorm> norm_;
};

std::shared_ptr<Block> PreparedBlock() {
  auto block = std::make_shared<Block>();
  RandomizeParameters(*block, 1);
  PrepareForInference(*block);
  return block;
}

TEST(ShareWeightsTest, TheOtherModuleComputesTheSameFromTheSameMemory) {
  const auto source = PreparedBlock();
  const auto target = std::make_shared<Block>();
  ShareWeights(*source, *target);
  const torch::Tensor x = RandomTensor({2, 16, 8, 8}, 2);
  EXPECT_TRUE(torch::equal(target->forward(x), source->forward(x)));
  const auto shared = target->named_parameters();
  EXPECT_EQ(shared.size(), source->named_parameters().size());
  for (const auto& parameter : source->named_parameters()) {
    EXPECT_EQ(shared[parameter.key()].data_ptr(), parameter.value().data_ptr()) << parameter.key();
  }
}

// Passes on to the allocator before it and counts the bytes.
class CountingAllocator final : public c10::Allocator {
 public:
  CountingAllocator() : inner_(c10::GetCPUAllocator()) { c10::SetCPUAllocator(this, kPriority); }
  ~CountingAllocator() override { c10::SetCPUAllocator(inner_, kPriority); }

  c10::DataPtr allocate(size_t bytes) override {
    bytes_ += bytes;
    return inner_->allocate(bytes);
  }
  c10::DeleterFnPtr raw_deleter() const override { return inner_->raw_deleter(); }
  void copy_data(void* destination, const void* source, size_t count) const override {
    default_copy_data(destination, source, count);
  }
  size_t bytes() const { return bytes_; }

 private:
  static constexpr uint8_t kPriority = 255;

  c10::Allocator* const inner_;
  size_t bytes_ = 0;
};

TEST(ShareWeightsTest, NothingIsCopiedTheTransformedConvolutionsIncluded) {
  const auto source = PreparedBlock();
  const auto target = std::make_shared<Block>();
  const CountingAllocator allocator;
  ShareWeights(*source, *target);
  EXPECT_EQ(allocator.bytes(), 0u);
}

TEST(ShareWeightsTest, ATensorThatIsReplacedThenLeavesTheSourceAlone) {
  const auto source = PreparedBlock();
  const auto target = std::make_shared<Block>();
  ShareWeights(*source, *target);
  const torch::Tensor before = source->linear->weight.clone();
  target->linear->weight.set_data(before + 1);
  EXPECT_TRUE(torch::equal(source->linear->weight, before));
  EXPECT_TRUE(torch::equal(target->linear->weight, before + 1));
}

TEST(ShareWeightsTest, ModulesOfAnotherStructureAreRefused) {
  const auto source = PreparedBlock();
  EXPECT_THROW(ShareWeights(*source, *std::make_shared<Linear>(4, 3)), c10::Error);
  const auto linear = std::make_shared<Linear>(4, 3);
  EXPECT_THROW(ShareWeights(*linear, *std::make_shared<Linear>(4, 3, /*with_bias=*/false)), c10::Error);
  EXPECT_THROW(ShareWeights(*linear, *std::make_shared<Linear>(5, 3)), c10::Error);
  const auto convolution = MakeConv3x3(4, 4);
  EXPECT_THROW(ShareWeights(*linear, *convolution), c10::Error);
  EXPECT_THROW(ShareWeights(*convolution, *std::make_shared<Conv2d>(Conv2dOptions{
                                              .in_channels = 4, .out_channels = 4, .with_bias = false})),
               c10::Error);
}

}  // namespace
}  // namespace kandinsky
