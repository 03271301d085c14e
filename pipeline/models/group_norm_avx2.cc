#include "pipeline/models/group_norm_loops.h"

namespace kandinsky {

const GroupNormKernels kAvx2GroupNormKernels = MakeGroupNormKernels<8>();

}  // namespace kandinsky
