#pragma once

#include <cstdint>
#include <random>

namespace kandinsky::server {

// The seed of a request that has none. Below 2^32, so that every JSON number and every tool takes it.
inline uint64_t DrawSeed() { return std::random_device()() & 0xFFFFFFFFu; }

}  // namespace kandinsky::server
