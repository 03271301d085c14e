#include "server/byte_budget.h"

#include <algorithm>
#include <utility>

namespace kandinsky::server {

ByteBudget::Reservation& ByteBudget::Reservation::operator=(Reservation&& other) noexcept {
  if (this == &other) return *this;
  Resize(0);
  budget_ = other.budget_;
  bytes_ = std::exchange(other.bytes_, 0);
  return *this;
}

void ByteBudget::Reservation::Resize(int64_t bytes) {
  if (budget_ != nullptr && bytes != bytes_) budget_->Add(bytes - bytes_);
  bytes_ = bytes;
}

ByteBudget::Reservation ByteBudget::Reservation::Split(int64_t bytes) {
  const int64_t taken = std::min(bytes, bytes_);
  bytes_ -= taken;
  return Reservation(budget_, taken);
}

std::optional<ByteBudget::Reservation> ByteBudget::TryReserve(int64_t bytes) {
  MutexLock lock(mutex_);
  if (bytes > limit_ - bytes_) return std::nullopt;
  bytes_ += bytes;
  return Reservation(this, bytes);
}

ByteBudget::Reservation ByteBudget::Take(int64_t bytes) {
  Add(bytes);
  return Reservation(this, bytes);
}

int64_t ByteBudget::bytes() const {
  MutexLock lock(mutex_);
  return bytes_;
}

void ByteBudget::Add(int64_t change) {
  MutexLock lock(mutex_);
  bytes_ += change;
}

}  // namespace kandinsky::server
