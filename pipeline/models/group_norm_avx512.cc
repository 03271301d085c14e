#include "pipeline/models/group_norm_loops.h"

namespace kandinsky {

const GroupNormKernels kAvx512GroupNormKernels = MakeGroupNormKernels<16>();

}  // namespace kandinsky
