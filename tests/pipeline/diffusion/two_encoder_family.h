#pragma once

#include "absl/status/statusor.h"
#include "pipeline/model.h"

namespace kandinsky {

// Network that the second text encoder is called by.
inline constexpr char kSecondTextEncoder[] = "text_encoder_2";

// A model of a family that exists in tests alone, with random weights: two text encoders, whose texts the
// U-Net reads, no prior, no image encoder, and an autoencoder of two pixels per cell with scaled latents. The
// same weights in every call. This header is free of torch.
absl::StatusOr<LoadedModel> LoadTwoEncoderModel();

}  // namespace kandinsky
