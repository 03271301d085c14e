#pragma once

#include <cstdint>
#include <functional>

namespace kandinsky {

// Calls `run` for parts of begin..end - 1 that hold at least `grain_size` numbers, on the threads of libtorch
// (at::set_num_threads) and on the calling one; returns when all are done, and throws what a part has thrown.
// Inside of another parallel region everything runs on the caller. at::parallel_for itself is a template that
// uses one thread where the file around it is compiled without OpenMP, as the project's files are.
void ParallelFor(int64_t begin, int64_t end, int64_t grain_size,
                 const std::function<void(int64_t begin, int64_t end)>& run);

}  // namespace kandinsky
