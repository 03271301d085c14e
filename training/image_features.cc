#include "training/image_features.h"

#include <ATen/ATen.h>

#include <algorithm>
#include <memory>
#include <utility>

#include "absl/strings/str_cat.h"
#include "base/status_macros.h"
#include "imaging/resize.h"
#include "pipeline/diffusion/input_tensors.h"
#include "training/dataset/image_preparation.h"
#include "training/fingerprint.h"

namespace kandinsky::training {
namespace {

constexpr int64_t kImagesAtOnce = 8;  // bounds the memory of the autoencoder

// The networks and what they are asked for.
struct Extractor {
  const FrozenImageEncoder& vision;
  std::shared_ptr<const VQModel> movq;  // null when no latents are wanted
  const ImageFeatureRequest& request;
  const std::vector<TrainingSample>& samples;

  absl::StatusOr<NamedTensors> Extract(int64_t begin, int64_t end) const;
  absl::StatusOr<Image> ForEncoder(const Image& image) const;
};

absl::StatusOr<Image> Extractor::ForEncoder(const Image& image) const {
  const int edge = vision.image_size;
  return vision.squeezes ? Resize(image, edge, edge) : CropForClip(image, edge);
}

// uint8 [1, 3, size, size].
torch::Tensor Bytes(const Image& rgb) { return ToPixels(rgb).add(1).mul(127.5).round().to(torch::kByte); }

absl::StatusOr<NamedTensors> Extractor::Extract(int64_t begin, int64_t end) const {
  const at::NoGradGuard no_grad;
  std::vector<torch::Tensor> embeds;
  std::vector<torch::Tensor> latents;
  std::vector<torch::Tensor> hints;
  for (int64_t from = begin; from < end; from += kImagesAtOnce) {
    std::vector<Image> squares;
    std::vector<torch::Tensor> pixels;
    for (int64_t i = from; i < std::min(from + kImagesAtOnce, end); ++i) {
      const TrainingSample& sample = samples[static_cast<size_t>(i)];
      ASSIGN_OR_RETURN(const Image image, LoadTrainingImage(sample));
      ASSIGN_OR_RETURN(squares.emplace_back(), ForEncoder(image));
      if (request.latents) {
        ASSIGN_OR_RETURN(const Image square, CropAndResize(image, request.resolution));
        pixels.push_back(ToPixels(square));
      }
      if (request.hint_resolution > 0) {
        ASSIGN_OR_RETURN(const Image hint, LoadTrainingHint(sample));
        ASSIGN_OR_RETURN(const Image square, CropAndResize(hint, request.hint_resolution));
        hints.push_back(Bytes(square));
      }
    }
    std::vector<const Image*> images;
    for (const Image& square : squares) images.push_back(&square);
    embeds.push_back(vision.encoder->Embed(images));
    if (movq != nullptr) latents.push_back(movq->encode(at::cat(pixels)));
  }
  NamedTensors features = {{"image_embeds", at::cat(embeds)}};
  if (request.latents) features.emplace_back("latents", at::cat(latents).contiguous());
  if (request.hint_resolution > 0) features.emplace_back("hint", at::cat(hints).contiguous());
  return features;
}

std::string FingerprintOf(const ModelDirectory& files, const std::vector<TrainingSample>& samples,
                          const ImageFeatureRequest& request) {
  Fingerprint print;
  print.Add(files.prior.image_encoder.config.json.dump()).AddFolder(files.prior.image_encoder.folder);
  print.Add(files.prior.image_processor.json.dump());
  if (request.latents) {
    print.Add(files.decoder.movq.config.json.dump()).AddFolder(files.decoder.movq.folder);
  }
  const bool hints = request.hint_resolution > 0;
  print.Add(absl::StrCat(request.latents, hints, request.resolution));
  if (hints) print.Add(absl::StrCat(request.hint_resolution));
  for (const TrainingSample& sample : samples) {
    print.Add(sample.image_path).AddFile(sample.image_path);
    if (hints) print.Add(sample.hint_path).AddFile(sample.hint_path);
  }
  return "images-1-" + print.ToString();  // 1: of what is computed and how
}

}  // namespace

absl::StatusOr<FeatureCache> OpenImageFeatures(const ModelDirectory& files, const FrozenImageEncoder& vision,
                                               const std::vector<TrainingSample>& samples,
                                               const ImageFeatureRequest& request,
                                               const std::string& cache_folder,
                                               const FeatureCache::Progress& progress) {
  Extractor extractor = {.vision = vision, .movq = nullptr, .request = request, .samples = samples};
  if (request.latents) {
    ASSIGN_OR_RETURN(extractor.movq, LoadNetwork<VQModel>(files.decoder.movq, ParseVQModelConfig));
  }
  return FeatureCache::Open(
      cache_folder, FingerprintOf(files, samples, request), static_cast<int64_t>(samples.size()),
      [&](int64_t begin, int64_t end) { return extractor.Extract(begin, end); }, progress);
}

}  // namespace kandinsky::training
