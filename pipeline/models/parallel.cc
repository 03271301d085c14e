// Compiled with OpenMP; see CMakeLists.txt.

#include "pipeline/models/parallel.h"

#include <ATen/Parallel.h>

#ifndef INTRA_OP_PARALLEL
#error "without OpenMP at::parallel_for would use one thread"
#endif

namespace kandinsky {

void ParallelFor(int64_t begin, int64_t end, int64_t grain_size,
                 const std::function<void(int64_t begin, int64_t end)>& run) {
  at::parallel_for(begin, end, grain_size, run);
}

}  // namespace kandinsky
