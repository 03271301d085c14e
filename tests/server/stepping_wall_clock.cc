// To be preloaded: the process's wall clock jumps by hours each time that it is read. Its steady clocks do
// not. libgpr alone reads the true time: it computes how long to sleep from two readings.

#include <dlfcn.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <time.h>
#include <unistd.h>

#include <atomic>
#include <cstring>

namespace {

long StepFor(const void* caller) {
  static std::atomic<unsigned> readings = 0;
  Dl_info library;
  if (dladdr(caller, &library) != 0 && std::strstr(library.dli_fname, "libgpr") != nullptr) return 0;
  return ++readings % 2 == 0 ? 7200 : -7200;
}

timespec TrueTime(clockid_t clock) {
  timespec now = {};
  syscall(SYS_clock_gettime, clock, &now);
  return now;
}

}  // namespace

extern "C" int clock_gettime(clockid_t clock, timespec* now) noexcept {
  *now = TrueTime(clock);
  if (clock == CLOCK_REALTIME) now->tv_sec += StepFor(__builtin_return_address(0));
  return 0;
}

extern "C" int gettimeofday(timeval* now, void*) noexcept {
  const timespec precise = TrueTime(CLOCK_REALTIME);
  now->tv_sec = precise.tv_sec + StepFor(__builtin_return_address(0));
  now->tv_usec = precise.tv_nsec / 1000;
  return 0;
}

extern "C" time_t time(time_t* now) noexcept {
  const time_t seconds = TrueTime(CLOCK_REALTIME).tv_sec + StepFor(__builtin_return_address(0));
  if (now != nullptr) *now = seconds;
  return seconds;
}
