#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "pipeline/capabilities.h"

namespace kandinsky {

// The file beside model_index.json in which a model says what a request gets where it gives no value: an
// object with any of width, height (pixels), steps, guidance_scale, prior_steps and prior_guidance_scale.
inline constexpr char kGenerationDefaultsFile[] = "generation_defaults.json";

// Returns what a model without that file gives: images of `sample_size` latent cells a side, which its U-Net
// was trained with, and the numbers that diffusers takes for Kandinsky 2.2; all of it rounded down to what
// the model can do, by `capabilities`.
RequestDefaults TrainedDefaults(const Capabilities& capabilities, int64_t sample_size);

// Reads the `text` of a file named `path`; keys that it leaves out are as in `capabilities.defaults`, and the
// limits are those of `capabilities`. INVALID_ARGUMENT, a line for each unknown key, wrong type and value out
// of range, with path, key and what is allowed.
absl::StatusOr<RequestDefaults> ParseGenerationDefaults(absl::string_view text, const std::string& path,
                                                        const Capabilities& capabilities);

// Reads the file of the first of `folders` that has one; `capabilities.defaults` when none has. Errors as
// ParseGenerationDefaults, and those of reading a file.
absl::StatusOr<RequestDefaults> ReadGenerationDefaults(const std::vector<std::string>& folders,
                                                       const Capabilities& capabilities);

}  // namespace kandinsky
