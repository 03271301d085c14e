#pragma once

#include <torch/nn/module.h>
#include <torch/types.h>

#include <string>

#include "absl/status/status.h"
#include "absl/strings/string_view.h"
#include "pipeline/weights/safetensors.h"

namespace kandinsky {

// Low-rank adapters (Hu et al. 2021) in the key format of diffusers' Kandinsky 2.2 training scripts
// (pytorch_lora_weights.safetensors): "<attention>.processor.<layer>_lora.{down,up}.weight" for the weight
// "<attention>.<layer>.weight", with layer to_q, to_k, to_v, to_out (of "to_out.0"), add_k_proj or
// add_v_proj. down is [rank, in], up [out, rank]; the adapted weight is W + up down.

// The name without its last part, e.g. "down_blocks.1.attentions.0.processor.to_q_lora", under which the
// adapter of the layer "down_blocks.1.attentions.0.to_q" is stored.
std::string LoraName(absl::string_view layer);

// Replaces the adapted weights of `module` by W + scale * up down; other weights stay. Keys may begin with
// "unet." or "prior.". All or nothing: INVALID_ARGUMENT, naming file and key, for a key of another form, half
// a pair, a layer that the module lacks or a shape that does not fit; nothing is left out silently.
absl::Status MergeLora(torch::nn::Module& module, const Checkpoint& checkpoint, double scale);

}  // namespace kandinsky
