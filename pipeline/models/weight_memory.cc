#include "pipeline/models/weight_memory.h"

#include <ATen/ATen.h>
#include <sys/mman.h>

#include <cstddef>
#include <cstdint>
#include <new>

namespace kandinsky {
namespace {

constexpr size_t kHugePage = size_t{2} << 20;

// `bytes` of fresh memory that begins where a huge page can.
void* MapAligned(size_t bytes) {
  void* mapping = ::mmap(nullptr, bytes + kHugePage, PROT_READ | PROT_WRITE,
                         MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
  if (mapping == MAP_FAILED) throw std::bad_alloc();
  auto* const begin = static_cast<std::byte*>(mapping);
  const size_t before = (kHugePage - reinterpret_cast<uintptr_t>(mapping) % kHugePage) % kHugePage;
  if (before > 0) ::munmap(begin, before);
  if (before < kHugePage) ::munmap(begin + before + bytes, kHugePage - before);
  ::madvise(begin + before, bytes, MADV_HUGEPAGE);  // advice: small pages do as well
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
