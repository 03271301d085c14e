#pragma once

#include <cstddef>

namespace kandinsky {

// How a request stands against those of others.
enum class Priority { kLow, kNormal, kHigh };
constexpr size_t kPriorities = 3;

// "low", "normal", "high".
const char* PriorityName(Priority priority);

}  // namespace kandinsky
