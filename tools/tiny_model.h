#pragma once

#include <cstdint>
#include <string>

#include "absl/status/status.h"
#include "tools/tiny_model_files.h"

namespace kandinsky {

// Writes a complete Kandinsky 2.2 model of about 4 MB with random weights into `folder` (made when missing):
// prior/ and decoder/ in the published layout. It makes no images of anything, but prompt, seed, guidance
// and step count change the result visibly. The same seed gives the same bytes. Errors name the file.
absl::Status WriteTinyModel(const std::string& folder, uint64_t seed,
                            TinyNetwork network = TinyNetwork::kDecoder);

}  // namespace kandinsky
