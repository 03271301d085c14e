#include "pipeline/models/weight_memory.h"

#include <ATen/ATen.h>
#include <sys/mman.h>
#include <time.h>

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <new>

namespace kandinsky {
namespace {

constexpr size_t kHugePage = size_t{2} << 20;

int64_t ThreadNanoseconds() {
  struct timespec now = {};
  ::clock_gettime(CLOCK_THREAD_CPUTIME_ID, &now);
  return int64_t{now.tv_sec} * 1'000'000'000 + now.tv_nsec;
}

// Asks for huge pages where they come cheap. In fragmented memory the system moves others' pages to make one,
// in two to four times the time of small pages; the first page of a mapping tells, and after an expensive one
// the next mappings do not ask.
void AdviseHugePages(std::byte* begin, size_t bytes) {
  constexpr int64_t kExpensive = 800'000;  // ns; small pages take 1.1 ms for as much, a free huge page 0.2 ms
  constexpr int64_t kPauseBytes = int64_t{1} << 30;
  static std::atomic<int64_t> pause = 0;  // bytes that are taken before the next try
  if (pause > 0) {
    pause -= static_cast<int64_t>(bytes);
    return;
  }
  // Advice: small pages do as well.
  if (::madvise(begin, bytes, MADV_HUGEPAGE) != 0) return;
  const int64_t start = ThreadNanoseconds();
  *static_cast<volatile std::byte*>(begin) = std::byte{0};
  if (ThreadNanoseconds() - start < kExpensive) return;
  pause = kPauseBytes;
  if (bytes > kHugePage) ::madvise(begin + kHugePage, bytes - kHugePage, MADV_NOHUGEPAGE);
}

// `bytes` of fresh memory that begins where a huge page can.
void* MapAligned(size_t bytes) {
  void* mapping = ::mmap(nullptr, bytes + kHugePage, PROT_READ | PROT_WRITE,
                         MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
  if (mapping == MAP_FAILED) throw std::bad_alloc();
  auto* const begin = static_cast<std::byte*>(mapping);
  const size_t before = (kHugePage - reinterpret_cast<uintptr_t>(mapping) % kHugePage) % kHugePage;
  if (before > 0) ::munmap(begin, before);
  if (before < kHugePage) ::munmap(begin + before + bytes, kHugePage - before);
  AdviseHugePages(begin + before, bytes);
  return begin + before;
}

}  // namespace

torch::Tensor EmptyWeight(c10::IntArrayRef sizes) {
  constexpr size_t kPage = 4096;
  const size_t bytes = static_cast<size_t>(c10::multiply_integers(sizes)) * sizeof(float);
  if (bytes < kHugePage) return at::empty(sizes, at::kFloat);
  const size_t mapped = (bytes + kPage - 1) / kPage * kPage;
  return at::from_blob(
      MapAligned(mapped), sizes, [mapped](void* data) { ::munmap(data, mapped); }, at::kFloat);
}

}  // namespace kandinsky
