#include "server/embedding_validation.h"

#include <optional>
#include <utility>

#include "absl/strings/str_cat.h"
#include "server/embedding_answers.h"
#include "server/prior_validation.h"
#include "server/request_validation.h"

namespace kandinsky::server {
namespace {

constexpr int kMostTexts = 16;
constexpr int kMostImages = 16;
constexpr int kLatentChannels = 4;
constexpr int kRgb = 3;
constexpr int64_t kFloatBytes = sizeof(float);
// Token ids, counts and tags of one embedding.
constexpr int64_t kSmallParts = 512;

int64_t EmbeddingBytes(const Capabilities& capabilities) {
  return capabilities.embedding_dim * kFloatBytes + kSmallParts;
}

// Ends a check: all violations, or what was validated. `reply_field` makes the answer large. The requests of
// a call differ in nothing that the model has rules for.
template <typename Message, typename Response>
EmbeddingCheck<Response> Conclude(const Message& message, FieldChecks& checks,
                                  ValidatedEmbedding<Response> validated, const char* reply_field) {
  checks.Name("model", message.model());
  if (!validated.requests.empty()) checks.CheckByModel(validated.requests.front());
  const int64_t limit = checks.limits().max_unary_reply_bytes();
  if (checks.count() == 0 && validated.reply_bytes > limit) {
    return std::vector<FieldViolation>{
        {reply_field, absl::StrCat("the answer may take ", validated.reply_bytes,
                                   " bytes, a single reply holds ", limit)}};
  }
  if (checks.count() > 0) return checks.TakeViolations(*Message::descriptor());
  validated.lacks = checks.TakeLacks();
  return validated;
}

// Whether a list has 1 to `most` entries.
bool CheckLength(const char* field, int length, int most, FieldChecks& checks) {
  if (length >= 1 && length <= most) return true;
  checks.Violate(field, "must be 1 to ", most);
  return false;
}

InputImage& ImageToEncode(GenerationRequest& request) {
  return std::get<InputImage>(std::get<EncodeLatents>(request.task).image);
}

SharedFloatTensor& PixelsToEncode(GenerationRequest& request) {
  return std::get<SharedFloatTensor>(std::get<EncodeLatents>(request.task).image);
}

// What a tensor [channels, height / scale, width / scale] has to be.
struct ImageTensorRule {
  int channels = 0;
  int scale = 1;
  ValueRange range;
};

// Checks a tensor and puts its image's size into `native`.
bool CheckImageTensor(const char* field, const v1::FloatTensor& tensor, const ImageTensorRule& rule,
                      FieldChecks& checks, GenerationRequest& native) {
  const auto [channels, scale, range] = rule;
  const auto side = [&, scale = scale](int dimension) { return int64_t{tensor.shape(dimension)} * scale; };
  if (tensor.shape_size() != 3 || tensor.shape(0) != channels || !checks.AllowsSize(side(1)) ||
      !checks.AllowsSize(side(2))) {
    const std::string divisor = scale == 1 ? "" : absl::StrCat(" / ", scale);
    checks.Violate(field, "must have the shape [", channels, ", height", divisor, ", width", divisor,
                   "], where height and width ", checks.SizeRule());
    return false;
  }
  native.height = static_cast<int>(side(1));
  native.width = static_cast<int>(side(2));
  return checks.Tensor(field, tensor, {tensor.shape().begin(), tensor.shape().end()}, range);
}

void CheckPixels(const v1::EncodeLatentsRequest& request, FieldChecks& checks, GenerationRequest& native,
                 std::vector<RequestInput>& inputs) {
  const ImageTensorRule rule = {.channels = kRgb, .scale = 1, .range = kPixelRange};
  if (CheckImageTensor("pixels", request.pixels(), rule, checks, native)) {
    inputs.push_back(TensorAsIs("pixels", request.pixels(), InEach(PixelsToEncode)));
  }
  for (const auto& [field, given] :
       {std::pair("width", request.has_width()), std::pair("height", request.has_height())}) {
    if (given) checks.Violate(field, "must be unset with pixels, which have a size");
  }
}

}  // namespace

EmbeddingCheck<v1::EmbedTextResponse> ValidateEmbedding(const v1::EmbedTextRequest& request,
                                                        const ValidationRules& rules,
                                                        const std::function<uint64_t()>&) {
  FieldChecks checks(rules);
  ValidatedEmbedding<v1::EmbedTextResponse> validated;
  if (CheckLength("texts", request.texts_size(), kMostTexts, checks)) {
    for (int i = 0; i < request.texts_size(); ++i) {
      checks.Text(absl::StrCat("texts[", i, "]"), request.texts(i));
      GenerationRequest& text = validated.requests.emplace_back(checks.DefaultRequest());
      text.task = EmbedText();
      text.prompt = request.texts(i);
      text.strict_prompt = request.strict_text();
    }
  }
  validated.text_list = "texts";
  const bool hidden_states = request.include_hidden_states();
  const int64_t states = hidden_states ? checks.capabilities().text_windows.front().tokens *
                                             EmbeddingBytes(checks.capabilities())
                                       : 0;
  validated.reply_bytes = request.texts_size() * (EmbeddingBytes(checks.capabilities()) + states);
  validated.answer = [hidden_states](const EmbeddingResults& results) {
    return AnswerEmbedText(results, hidden_states);
  };
  return Conclude(request, checks, std::move(validated), hidden_states ? "include_hidden_states" : "texts");
}

EmbeddingCheck<v1::EmbedImagesResponse> ValidateEmbedding(const v1::EmbedImagesRequest& request,
                                                          const ValidationRules& rules,
                                                          const std::function<uint64_t()>&) {
  FieldChecks checks(rules);
  ValidatedEmbedding<v1::EmbedImagesResponse> validated;
  if (CheckLength("images", request.images_size(), kMostImages, checks)) {
    for (int i = 0; i < request.images_size(); ++i) {
      const std::string field = absl::StrCat("images[", i, "]");
      validated.requests.emplace_back(checks.DefaultRequest()).task = EmbedImage();
      const std::optional<EncodedImage> image = checks.CheckedImage(field, request.images(i));
      if (!image.has_value()) continue;
      const auto place = InOne(static_cast<size_t>(i), [](GenerationRequest& image) -> InputImage& {
        return std::get<EmbedImage>(image.task).image;
      });
      validated.inputs.push_back(ImageForClip(*image, checks.capabilities(), place));
    }
  }
  validated.reply_bytes = request.images_size() * EmbeddingBytes(checks.capabilities());
  validated.answer = AnswerEmbedImages;
  return Conclude(request, checks, std::move(validated), "images");
}

EmbeddingCheck<v1::GenerateImageEmbeddingResponse> ValidateEmbedding(
    const v1::GenerateImageEmbeddingRequest& request, const ValidationRules& rules,
    const std::function<uint64_t()>& draw_seed) {
  FieldChecks checks(rules);
  ValidatedEmbedding<v1::GenerateImageEmbeddingResponse> validated;
  GenerationRequest native = checks.DefaultRequest();
  native.task = EmbedPrompt();
  checks.Name("adapter", request.adapter());
  native.adapter = request.adapter();
  ReadPrior(request, /*replaced=*/false, checks, native, validated.inputs);
  const std::vector<uint64_t> seeds =
      checks.Seeds({.count_field = "count",
                    .count = request.has_count() ? std::optional(request.count()) : std::nullopt,
                    .seed = request.has_seed() ? std::optional(request.seed()) : std::nullopt,
                    .seeds = request.seeds()},
                   draw_seed);
  for (const uint64_t seed : seeds) {
    native.seed = seed;
    validated.requests.push_back(native);
  }
  validated.reply_bytes = static_cast<int64_t>(seeds.size()) * 2 * EmbeddingBytes(checks.capabilities());
  validated.answer = AnswerImageEmbedding;
  return Conclude(request, checks, std::move(validated), "count");
}

EmbeddingCheck<v1::EncodeLatentsResponse> ValidateEmbedding(const v1::EncodeLatentsRequest& request,
                                                            const ValidationRules& rules,
                                                            const std::function<uint64_t()>&) {
  FieldChecks checks(rules);
  ValidatedEmbedding<v1::EncodeLatentsResponse> validated;
  GenerationRequest native = checks.DefaultRequest();
  native.output = {.image = false, .latents = true};
  if (request.has_pixels()) {
    native.task = EncodeLatents{.image = SharedFloatTensor()};
    CheckPixels(request, checks, native, validated.inputs);
  } else {
    native.task = EncodeLatents{.image = InputImage()};
    if (request.has_width()) native.width = request.width();
    if (request.has_height()) native.height = request.height();
    const std::optional<EncodedImage> image = checks.CheckedImage("image", request.image());
    if (image.has_value() && checks.AllowsSizeOf(native)) {
      validated.inputs.push_back(
          ResizedImage(*image, {.width = native.width, .height = native.height}, InEach(ImageToEncode)));
    }
  }
  validated.requests = {native};
  validated.reply_bytes =
      ResultBytes(v1::OUTPUT_FORMAT_LATENT, native.width, native.height, checks.capabilities().latent_scale) +
      kSmallParts;
  validated.answer = AnswerEncodeLatents;
  return Conclude(request, checks, std::move(validated), request.has_pixels() ? "pixels" : "width");
}

EmbeddingCheck<v1::DecodeLatentsResponse> ValidateEmbedding(const v1::DecodeLatentsRequest& request,
                                                            const ValidationRules& rules,
                                                            const std::function<uint64_t()>&) {
  FieldChecks checks(rules);
  ValidatedEmbedding<v1::DecodeLatentsResponse> validated;
  GenerationRequest native = checks.DefaultRequest();
  native.task = DecodeLatents();
  const ImageTensorRule rule = {
      .channels = kLatentChannels, .scale = checks.capabilities().latent_scale, .range = kLatentRange};
  if (CheckImageTensor("latents", request.latents(), rule, checks, native)) {
    validated.inputs.push_back(
        TensorAsIs("latents", request.latents(), InEach([](GenerationRequest& image) -> SharedFloatTensor& {
                     return std::get<DecodeLatents>(image.task).latents;
                   })));
  }
  ResultEncoding encoding;
  CheckOutput(request.output(), checks, encoding);
  if (encoding.format == v1::OUTPUT_FORMAT_LATENT || encoding.format == v1::OUTPUT_FORMAT_NONE) {
    checks.Violate("output.format", "must be PNG, JPEG, WEBP or RAW_RGB");
  }
  if (encoding.embed_parameters) checks.Violate("output.embed_parameters", "must be false: there are none");
  native.output = {.image = !request.float_pixels(), .latents = false, .pixels = request.float_pixels()};
  if (request.float_pixels()) {
    if (request.has_output()) checks.Violate("output", "must be unset with float_pixels");
    validated.reply_bytes = int64_t{kRgb} * native.width * native.height * kFloatBytes + kSmallParts;
    validated.answer = AnswerDecodePixels;
  } else {
    validated.reply_bytes =
        ResultBytes(encoding.format, native.width, native.height, rule.scale) + kSmallParts;
    validated.answer = [encoding](const EmbeddingResults& results) {
      return AnswerDecodeImage(results, encoding);
    };
  }
  validated.requests = {native};
  return Conclude(request, checks, std::move(validated), request.float_pixels() ? "float_pixels" : "latents");
}

}  // namespace kandinsky::server
