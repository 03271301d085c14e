#include "pipeline/models/group_norm_loops.h"

namespace kandinsky {

const GroupNormKernels kPortableGroupNormKernels = MakeGroupNormKernels<4>();

}  // namespace kandinsky
