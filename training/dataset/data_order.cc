#include "training/dataset/data_order.h"

#include <cstddef>
#include <numeric>
#include <random>
#include <utility>

namespace kandinsky::training {
namespace {

constexpr uint64_t kOrderStream = 0x6F72646572;  // "order"; steps draw from streams with small numbers

uint64_t SplitMix64(uint64_t state) {
  state += 0x9E3779B97F4A7C15;
  state = (state ^ (state >> 30)) * 0xBF58476D1CE4E5B9;
  state = (state ^ (state >> 27)) * 0x94D049BB133111EB;
  return state ^ (state >> 31);
}

// Evenly from [0, bound). The standard's distributions give other numbers with every library.
uint64_t DrawBelow(uint64_t bound, std::mt19937_64& generator) {
  // 2^64 mod bound values at the lower end are one too many to share evenly.
  const uint64_t surplus = (0 - bound) % bound;
  uint64_t number = generator();
  while (number < surplus) number = generator();
  return number % bound;
}

}  // namespace

DataOrder::DataOrder(int64_t size, uint64_t seed) : seed_(seed), samples_(static_cast<size_t>(size)) {}

int64_t DataOrder::At(int64_t position) {
  const int64_t epoch = position / size();
  if (epoch != epoch_) Shuffle(epoch);
  return samples_[static_cast<size_t>(position % size())];
}

void DataOrder::Shuffle(int64_t epoch) {
  std::iota(samples_.begin(), samples_.end(), 0);
  std::mt19937_64 generator(MixSeed(seed_, kOrderStream, static_cast<uint64_t>(epoch)));
  for (size_t left = samples_.size(); left > 1; --left) {
    std::swap(samples_[left - 1], samples_[DrawBelow(left, generator)]);
  }
  epoch_ = epoch;
}

uint64_t MixSeed(uint64_t seed, uint64_t stream, uint64_t step) {
  return SplitMix64(SplitMix64(SplitMix64(seed) ^ stream) ^ step);
}

}  // namespace kandinsky::training
