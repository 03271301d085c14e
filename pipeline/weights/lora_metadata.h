#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "pipeline/weights/safetensors.h"

namespace kandinsky {

// The configuration (peft's LoraConfig) that diffusers puts into the header of a file of adapters, as JSON
// under "lora_adapter_metadata". It decides the strength of each layer's adapter.
class LoraMetadata {
 public:
  // The metadata of a network's adapters; `prefix` is what stands before their keys, "unet." or "", and the
  // metadata's keys. Absent when the file has none. INVALID_ARGUMENT, naming file and key, for what is
  // malformed and for kinds of adapters that are not implemented (e.g. DoRA).
  static absl::StatusOr<std::optional<LoraMetadata>> Read(const Checkpoint& checkpoint,
                                                          absl::string_view prefix);

  // The factor of up down for a layer: alpha / rank, with use_rslora alpha / sqrt(rank). INVALID_ARGUMENT
  // when the metadata gives the layer another rank.
  absl::StatusOr<double> Scaling(absl::string_view layer, int64_t rank) const;

 private:
  double rank_ = 8;
  double alpha_ = 8;
  bool rank_stabilized_ = false;
  // First pattern that fits decides; "^" before a pattern: the whole name, otherwise its last parts.
  std::vector<std::pair<std::string, double>> rank_pattern_;
  std::vector<std::pair<std::string, double>> alpha_pattern_;
};

// Header metadata of a file in PEFT's form whose adapters have this rank and as alpha the rank, i.e. are W +
// up down.
std::map<std::string, std::string> PeftMetadata(int rank, const std::vector<std::string>& targets);

}  // namespace kandinsky
