#pragma once

namespace kandinsky {

// Networks that every family calls the same, as BatchKey::network names them. A family may have further text
// encoders.
inline constexpr char kTextEncoder[] = "text_encoder";    // texts, and what the prior reads of them
inline constexpr char kImageEncoder[] = "image_encoder";  // images to embeddings
inline constexpr char kMovqEncoder[] = "movq_encoder";    // an image to latents; has a spatial size
inline constexpr char kNoNetwork[] = "none";              // of an encode stage that needs none of them
inline constexpr char kPrior[] = "prior";
// Those that denoise (Capabilities::networks), by what they were trained for: image or noise to image, masks,
// depth maps.
inline constexpr char kDecoderNetwork[] = "decoder";
inline constexpr char kInpaintNetwork[] = "inpaint";
inline constexpr char kDepthNetwork[] = "controlnet_depth";
inline constexpr char kMovqDecoder[] = "movq";

}  // namespace kandinsky
