#pragma once

#include <cstdint>
#include <vector>

namespace kandinsky::training {

// The order in which samples are learned: epoch after epoch, each a permutation of all samples that depends
// on (seed, epoch) alone and is the same on every platform. A run that goes on at some position therefore
// sees what it would have seen without the pause. Holds 8 bytes for each sample. Not thread-safe.
class DataOrder {
 public:
  // `size` samples, 1 or more.
  DataOrder(int64_t size, uint64_t seed);

  // The sample, from 0, at `position`, from 0 and counted through all epochs. Constant time within an epoch;
  // another epoch than the last call's costs time for all its samples.
  int64_t At(int64_t position);

  int64_t size() const { return static_cast<int64_t>(samples_.size()); }

 private:
  void Shuffle(int64_t epoch);

  const uint64_t seed_;
  int64_t epoch_ = -1;  // that samples_ is in the order of
  std::vector<int64_t> samples_;
};

// A seed of its own for each (seed, stream, step), e.g. for the noise of one step: by SplitMix64 (Steele, Lea
// and Flood 2014), whose results for neighboring arguments have nothing in common.
uint64_t MixSeed(uint64_t seed, uint64_t stream, uint64_t step);

}  // namespace kandinsky::training
