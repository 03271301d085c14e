#pragma once

#include <string>

namespace kandinsky::testing {

// Gives the model in `folder` a MOVQ that halves images once less, with random weights: latent cells are 4
// pixels wide instead of 8. Reports failures to the running test.
void MakeLatentCellsSmaller(const std::string& folder);

}  // namespace kandinsky::testing
