#pragma once

#include <optional>
#include <string>

#include "absl/strings/string_view.h"

namespace kandinsky {

// How a file of low-rank adapters (Hu et al. 2021) names the two factors of a layer: `down` is [rank, in],
// `up` [out, rank], and the adapted weight is W + alpha / rank * up down.
enum class LoraForm {
  // "<layer>.lora_A.weight", "<layer>.lora_B.weight": what diffusers' save_lora_adapter writes and
  // load_lora_adapter reads.
  kPeft,
  // "<attention>.processor.to_q_lora.down.weight", ".up.weight", to_out_lora for to_out.0: what diffusers'
  // Kandinsky 2.2 training scripts wrote. Today's diffusers drops the add_k_proj and add_v_proj of such
  // files.
  kAttentionProcessor,
};

// The keys of one layer's factors.
struct LoraKeys {
  std::string down;
  std::string up;
};

// `layer` is the name of a layer, e.g. "down_blocks.1.attentions.0.to_out.0"; for kAttentionProcessor one of
// an attention's.
LoraKeys LoraKeysOf(absl::string_view layer, LoraForm form);

// The key of the same factor in the other form, with whatever stands before it; empty when `key` is in
// neither.
std::string KeyInOtherForm(absl::string_view key);

// What a key of a file means.
enum class LoraRole { kDown, kUp, kAlpha };
struct LoraKey {
  LoraRole role = LoraRole::kDown;
  // The layer's name, or with `flattened` its name with "_" for every ".".
  std::string layer;
  bool flattened = false;
};

// Reads every form that diffusers 0.42 loads into the networks of Kandinsky 2.2 (load_lora_adapter, and
// StableDiffusionLoraLoaderMixin for kohya's): both of LoraForm, "<layer>.lora.{down,up}.weight",
// "<attention>.to_q_lora.{down,up}.weight", "lora_unet_<layer with _ for .>.lora_{down,up}.weight", and of
// each the layer's ".alpha". `key` is without the network's name before it. Absent for any other key.
std::optional<LoraKey> ParseLoraKey(absl::string_view key);

// What a message tells of the forms that are read.
extern const char kLoraForms[];

}  // namespace kandinsky
