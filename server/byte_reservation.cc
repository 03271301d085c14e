#include "server/byte_reservation.h"

#include <optional>
#include <utility>

#include "server/error_details.h"
#include "server/generation_store.h"

namespace kandinsky::server {

grpc::Status ReserveBytes(const CallContext& context, const Engine& engine, int64_t bytes, int64_t held,
                          ByteBudget::Reservation& share) {
  // No result of the past would make room for this.
  if (bytes > context.budget.limit() - held) return BytesInFlightError(std::nullopt);
  for (;;) {
    std::optional<ByteBudget::Reservation> reserved = context.budget.TryReserve(bytes);
    if (reserved.has_value()) {
      share = *std::move(reserved);
      return grpc::Status::OK;
    }
    if (!context.store.EvictOldest()) return BytesInFlightError(engine.snapshot().estimated_wait);
  }
}

}  // namespace kandinsky::server
