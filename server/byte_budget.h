#pragma once

#include <cstdint>
#include <optional>

#include "base/mutex.h"

namespace kandinsky::server {

// Counts the bytes of all requests and results in memory against one limit, so that memory is bounded by
// admission. Thread-safe; a Reservation is not.
class ByteBudget {
 public:
  // A share of the budget, given back when it is destroyed. The budget outlives it.
  class Reservation {
   public:
    Reservation() = default;
    ~Reservation() { Resize(0); }
    Reservation(Reservation&& other) noexcept : budget_(other.budget_), bytes_(other.bytes_) {
      other.bytes_ = 0;
    }
    Reservation& operator=(Reservation&& other) noexcept;

    int64_t bytes() const { return bytes_; }

    // Changes the share to what is really held, which may exceed the limit: it exists already.
    void Resize(int64_t bytes);

    // Moves `bytes`, at most all of them, into a reservation of their own.
    Reservation Split(int64_t bytes);

   private:
    friend class ByteBudget;
    Reservation(ByteBudget* budget, int64_t bytes) : budget_(budget), bytes_(bytes) {}

    ByteBudget* budget_ = nullptr;
    int64_t bytes_ = 0;
  };

  explicit ByteBudget(int64_t limit) : limit_(limit) {}

  // Nothing when the limit would be exceeded.
  std::optional<Reservation> TryReserve(int64_t bytes) EXCLUDES(mutex_);

  // For what exists already: may exceed the limit.
  Reservation Take(int64_t bytes) EXCLUDES(mutex_);

  int64_t limit() const { return limit_; }
  int64_t bytes() const EXCLUDES(mutex_);

 private:
  void Add(int64_t change) EXCLUDES(mutex_);

  const int64_t limit_;
  mutable Mutex mutex_;
  int64_t bytes_ GUARDED_BY(mutex_) = 0;
};

}  // namespace kandinsky::server
