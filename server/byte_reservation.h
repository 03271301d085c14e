#pragma once

#include <grpcpp/support/status.h>

#include <cstdint>

#include "scheduler/engine.h"
#include "server/byte_budget.h"
#include "server/call_context.h"

namespace kandinsky::server {

// Takes `bytes` of the byte budget into `share`; results of the past give way to them. BYTES_IN_FLIGHT when
// there is no room, with the engine's wait as the retry delay if there can ever be: `held` are what the
// same call holds already and keeps meanwhile.
grpc::Status ReserveBytes(const CallContext& context, const Engine& engine, int64_t bytes, int64_t held,
                          ByteBudget::Reservation& share);

}  // namespace kandinsky::server
