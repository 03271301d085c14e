#pragma once

#include <torch/types.h>

#include "pipeline/models/prior_transformer.h"
#include "pipeline/models/unet_2d_condition_model.h"
#include "training/noising.h"

namespace kandinsky::training {

// The losses of diffusers' Kandinsky 2.2 training scripts, on batches in which nothing is left to chance.

// What the prior learns from.
struct PriorBatch {
  torch::Tensor image_embeds;  // [B, E] of the vision tower, not normalized
  torch::Tensor text_embeds;   // [B, E]
  torch::Tensor text_hidden;   // [B, num_embeddings, E]; what lies behind the end of a text has no effect
  torch::Tensor text_mask;     // bool [B, num_embeddings], true for tokens of the text
  torch::Tensor noise;         // [B, E]
  torch::Tensor timesteps;     // int64 [B]
};

// Mean squared error of the predicted normalized embedding, a scalar. `snr_gamma` 0: not weighted.
torch::Tensor PriorLoss(const PriorTransformer& prior, const Noising& noising, const PriorBatch& batch,
                        double snr_gamma);

// What the decoder's U-Net learns from.
struct DecoderBatch {
  torch::Tensor latents;           // [B, 4, h, w], clean
  torch::Tensor image_embeds;      // [B, E]
  torch::Tensor further_channels;  // [B, C, h, w] behind the noisy latents: kept image and mask, or hint
  torch::Tensor noise;             // [B, 4, h, w]
  torch::Tensor timesteps;         // int64 [B]
};

// Mean squared error of the predicted noise, a scalar; the channels of a predicted variance are not trained.
torch::Tensor DecoderLoss(const UNet2DConditionModel& unet, const Noising& noising, const DecoderBatch& batch,
                          double snr_gamma);

}  // namespace kandinsky::training
