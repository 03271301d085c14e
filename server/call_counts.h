#pragma once

#include <atomic>
#include <cstdint>

namespace kandinsky::server {

// How far the calls of a server have come since its start. Thread-safe.
struct CallCounts {
  std::atomic<int64_t> dispatched = 0;  // those that RpcDispatcher has got
  // Those of them that are over; counted before gRPC gives their memory back.
  std::atomic<int64_t> ended = 0;
};

}  // namespace kandinsky::server
