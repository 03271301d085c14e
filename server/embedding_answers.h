#pragma once

#include <string>

#include "absl/status/statusor.h"
#include "kandinsky/v1/embedding.pb.h"
#include "server/embedding_validation.h"
#include "server/request_validation.h"

namespace kandinsky::server {

// From the engine's results to the answers of EmbeddingService. INTERNAL when a result lacks what it should
// have.

absl::StatusOr<v1::EmbedTextResponse> AnswerEmbedText(const EmbeddingResults& results, bool hidden_states);
absl::StatusOr<v1::EmbedImagesResponse> AnswerEmbedImages(const EmbeddingResults& results);
absl::StatusOr<v1::GenerateImageEmbeddingResponse> AnswerImageEmbedding(const EmbeddingResults& results);
absl::StatusOr<v1::EncodeLatentsResponse> AnswerEncodeLatents(const EmbeddingResults& results);
// As pixels, or as an image in `encoding`.
absl::StatusOr<v1::DecodeLatentsResponse> AnswerDecodePixels(const EmbeddingResults& results);
absl::StatusOr<v1::DecodeLatentsResponse> AnswerDecodeImage(const EmbeddingResults& results,
                                                            const ResultEncoding& encoding);

}  // namespace kandinsky::server
