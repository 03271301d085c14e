#pragma once

#if defined(__SANITIZE_THREAD__)
#include <sanitizer/tsan_interface.h>
#endif

namespace kandinsky::server {

// gRPC promises that the reactions of one RPC come after its handler and one after the other. The
// distribution's gRPC is not built with ThreadSanitizer, which therefore cannot see that order; an object of
// this class, made first thing in the handler (as soon as there is a reactor) and in each reaction, states
// it. Nothing without the sanitizer.
class ReactionOrder {
 public:
  explicit ReactionOrder([[maybe_unused]] void* reactor) : reactor_(reactor) {
#if defined(__SANITIZE_THREAD__)
    __tsan_acquire(reactor_);
#endif
  }
  ~ReactionOrder() {
#if defined(__SANITIZE_THREAD__)
    __tsan_release(reactor_);
#endif
  }
  ReactionOrder(const ReactionOrder&) = delete;
  ReactionOrder& operator=(const ReactionOrder&) = delete;

 private:
  [[maybe_unused]] void* const reactor_;  // compared only by address
};

}  // namespace kandinsky::server
