#pragma once

#include <string>

#include "absl/status/statusor.h"
#include "kandinsky/v1/image_generation.pb.h"
#include "pipeline/generation_request.h"
#include "scheduler/generation_observer.h"
#include "server/request_validation.h"

namespace kandinsky::server {

// From finished images to what is sent. Takes milliseconds, so not for threads that others wait for.

// What a result was made for.
struct ResultOrigin {
  const GenerationRequest& request;
  const ResultEncoding& encoding;
  const std::string& model;
};

// Encodes a result. INTERNAL when it lacks what the format needs or the codec fails.
absl::StatusOr<v1::GeneratedImage> EncodeResult(const FinishedImage& finished, const ResultOrigin& origin);

// Encodes a preview as PNG. INTERNAL when it is not RGB or the codec fails.
absl::StatusOr<v1::PreviewEvent> EncodePreview(const PreviewImage& preview);

// "png", "jpeg", "webp", "raw_rgb", "latent", "none"; for metrics.
const char* FormatName(v1::OutputFormat format);

}  // namespace kandinsky::server
