#include "server/embedding_answers.h"

#include <optional>

#include "base/status_macros.h"
#include "server/event_conversion.h"
#include "server/result_encoding.h"

namespace kandinsky::server {
namespace {

absl::Status Missing() { return absl::InternalError("a result of the pipeline lacks a part"); }

absl::Status SetEmbedding(const std::optional<FloatTensor>& tensor, v1::Embedding& embedding) {
  if (!tensor.has_value()) return Missing();
  embedding.mutable_values()->Assign(tensor->values.begin(), tensor->values.end());
  return absl::OkStatus();
}

// The one result of a call that asks for one thing.
absl::StatusOr<const GenerationResult*> OnlyResult(const EmbeddingResults& results) {
  if (results.results.size() != 1) return Missing();
  return &results.results.front().result;
}

}  // namespace

absl::StatusOr<v1::EmbedTextResponse> AnswerEmbedText(const EmbeddingResults& results, bool hidden_states) {
  v1::EmbedTextResponse response;
  for (const FinishedImage& finished : results.results) {
    const GenerationResult& result = finished.result;
    if (finished.prompt_tokens.empty()) return Missing();
    v1::TextEmbedding& text = *response.add_embeddings();
    RETURN_IF_ERROR(SetEmbedding(result.embedding, *text.mutable_embedding()));
    for (const int64_t id : result.token_ids) text.add_token_ids(static_cast<int32_t>(id));
    text.set_tokens(finished.prompt_tokens.front().tokens);
    text.set_kept_tokens(finished.prompt_tokens.front().kept_tokens);
    if (!hidden_states) continue;
    if (!result.hidden_states.has_value()) return Missing();
    *text.mutable_hidden_states() = ToProto(*result.hidden_states);
  }
  return response;
}

absl::StatusOr<v1::EmbedImagesResponse> AnswerEmbedImages(const EmbeddingResults& results) {
  v1::EmbedImagesResponse response;
  for (const FinishedImage& finished : results.results) {
    RETURN_IF_ERROR(SetEmbedding(finished.result.embedding, *response.add_embeddings()));
  }
  return response;
}

absl::StatusOr<v1::GenerateImageEmbeddingResponse> AnswerImageEmbedding(const EmbeddingResults& results) {
  v1::GenerateImageEmbeddingResponse response;
  for (const FinishedImage& finished : results.results) {
    v1::GeneratedImageEmbedding& generated = *response.add_embeddings();
    generated.set_seed(finished.seed);
    RETURN_IF_ERROR(SetEmbedding(finished.result.embedding, *generated.mutable_embedding()));
    RETURN_IF_ERROR(
        SetEmbedding(finished.result.negative_embedding, *generated.mutable_negative_embedding()));
  }
  AddTruncations(results.statistics.prompt_tokens, *response.mutable_truncations());
  return response;
}

absl::StatusOr<v1::EncodeLatentsResponse> AnswerEncodeLatents(const EmbeddingResults& results) {
  ASSIGN_OR_RETURN(const GenerationResult* const result, OnlyResult(results));
  if (!result->latents.has_value()) return Missing();
  v1::EncodeLatentsResponse response;
  *response.mutable_latents() = ToProto(*result->latents);
  return response;
}

absl::StatusOr<v1::DecodeLatentsResponse> AnswerDecodePixels(const EmbeddingResults& results) {
  ASSIGN_OR_RETURN(const GenerationResult* const result, OnlyResult(results));
  if (!result->pixels.has_value()) return Missing();
  v1::DecodeLatentsResponse response;
  *response.mutable_pixels() = ToProto(*result->pixels);
  return response;
}

absl::StatusOr<v1::DecodeLatentsResponse> AnswerDecodeImage(const EmbeddingResults& results,
                                                            const ResultEncoding& encoding) {
  RETURN_IF_ERROR(OnlyResult(results).status());
  v1::DecodeLatentsResponse response;
  const GenerationRequest no_request;  // only parameters and latents would need it
  ASSIGN_OR_RETURN(
      *response.mutable_image(),
      EncodeResult(results.results.front(), {.request = no_request, .encoding = encoding, .model = ""}));
  return response;
}

}  // namespace kandinsky::server
