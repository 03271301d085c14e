#include "tests/pipeline/kandinsky22/networks/pipeline_test_support.h"

#include <gtest/gtest.h>

#include <cmath>
#include <cstdlib>
#include <cstring>
#include <iostream>
#include <utility>

#include "pipeline/hint_size.h"
#include "pipeline/kandinsky22/networks/load_kandinsky22.h"

namespace kandinsky {

std::string GoldenDirectory() {
  const char* overridden = std::getenv("KANDINSKY_GOLDEN_DIR");
  return overridden != nullptr ? overridden : KANDINSKY_SOURCE_DIR "/tests/golden/diffusers";
}

std::unique_ptr<LoadedPipeline> LoadPipeline(const std::string& folder) {
  auto loaded = LoadKandinsky({.model_name = "golden", .model_path = folder, .threads = 1}, 1);
  if (!loaded.ok()) {
    std::cerr << loaded.status() << "\n";
    std::abort();
  }
  return std::make_unique<LoadedPipeline>(*std::move(loaded));
}

std::unique_ptr<LoadedPipeline> LoadGoldenPipeline() { return LoadPipeline(GoldenDirectory() + "/models/b"); }

std::unique_ptr<LoadedPipeline> LoadGoldenPipelineFor(const Task& task) {
  if (std::holds_alternative<Inpaint>(task)) return LoadPipeline(GoldenDirectory() + "/models/inpaint");
  if (std::holds_alternative<ControlNet>(task)) return LoadPipeline(GoldenDirectory() + "/models/depth");
  return LoadGoldenPipeline();
}

InputImage TestImage(int width, int height, int channels, uint64_t seed) {
  auto image = std::make_shared<Image>();
  image->width = width;
  image->height = height;
  image->channels = channels;
  const double phase = 0.7 * static_cast<double>(seed % 16);
  for (int y = 0; y < height; ++y) {
    for (int x = 0; x < width; ++x) {
      for (int c = 0; c < channels; ++c) {
        const double wave = std::sin(0.13 * x + phase + c) * std::cos(0.09 * y - phase + 2 * c);
        image->pixels.push_back(static_cast<uint8_t>(127.5 + 127.0 * wave));
      }
    }
  }
  return image;
}

SharedFloatTensor TestTensor(std::vector<int64_t> shape, uint64_t seed) {
  auto tensor = std::make_shared<FloatTensor>();
  size_t count = 1;
  for (const int64_t size : shape) count *= static_cast<size_t>(size);
  tensor->shape = std::move(shape);
  for (size_t i = 0; i < count; ++i) {
    const double angle = 0.37 * static_cast<double>(i) + static_cast<double>(seed);
    tensor->values.push_back(static_cast<float>(0.5 + 0.5 * std::sin(angle)));
  }
  return tensor;
}

GenerationRequest TinyRequest(uint64_t seed) {
  GenerationRequest request;
  request.prompt = seed % 2 == 0 ? "red cat, 4k photo" : "a small house in the forest";
  request.width = 64;
  request.height = 64;
  request.steps = 4 + static_cast<int>(seed % 3);
  request.prior_steps = 3 + static_cast<int>(seed % 2);
  request.guidance_scale = 3.0f + 0.5f * static_cast<float>(seed % 3);
  request.seed = seed;
  request.output.latents = true;
  return request;
}

std::vector<GenerationRequest> TinyTaskRequests(const Capabilities& capabilities) {
  std::vector<GenerationRequest> requests;
  const auto add = [&](Task task) -> GenerationRequest& {
    requests.push_back(TinyRequest(100 + requests.size()));
    requests.back().task = std::move(task);
    return requests.back();
  };
  const int crop = capabilities.clip_image_size;
  const SharedFloatTensor embedding = TestTensor({capabilities.embedding_dim}, 3);
  const auto add_mix = [&](Task task, std::vector<MixPart> parts) -> GenerationRequest& {
    GenerationRequest& request = add(std::move(task));
    request.prompt.clear();
    request.mix = Mix{std::move(parts)};
    return request;
  };
  const std::vector<MixPart> parts = {
      {std::string("red cat"), 0.6f}, {TestImage(crop, crop, 3, 5), 0.5f}, {embedding, -0.2f}};
  const InitImage init = {TestImage(64, 64, 3, 1), 0.7f};
  if (NetworkNames(capabilities) == "inpaint") {
    add(Inpaint{.image = init.image, .mask = TestImage(64, 64, 1, 2), .paste_back = true, .feather = 4});
    add(Inpaint{.image = init.image, .mask = TestImage(64, 64, 1, 3), .soft = true});
    add(Inpaint{.image = TestImage(64, 64, 3, 4), .mask = TestImage(64, 64, 1, 5)}).negative_prompt =
        "blurry";
    requests.back().sampler = SamplerKind::kDpmSolverMultistep;
    add_mix(Inpaint{.image = init.image, .mask = TestImage(64, 64, 1, 6)}, parts).negative_prompt = "fog";
    return requests;
  }
  if (NetworkNames(capabilities) == "controlnet_depth") {
    const int edge = HintEdge(64, capabilities.latent_scale);
    add(ControlNet{.hint = TestTensor({3, edge, edge}, 1), .init = std::nullopt});
    add(ControlNet{.hint = TestTensor({3, edge, edge}, 2), .init = init});
    add_mix(ControlNet{.hint = TestTensor({3, edge, edge}, 3), .init = std::nullopt}, parts);
    add_mix(ControlNet{.hint = TestTensor({3, edge, edge}, 4), .init = init}, parts).negative_prior_prompt =
        "fog";
    return requests;
  }
  add(TextToImage{}).negative_prior_prompt = "low quality";
  requests.back().negative_prompt = "blurry";
  add(TextToImage{}).prior_start = PriorStart{TestImage(crop, crop, 3, 4), 0.7f};
  add(TextToImage{}).prior_start = PriorStart{embedding, 1.0f};
  requests.back().negative_prompt = "low quality";
  add(TextToImage{}).image_embedding = embedding;
  requests.back().prompt.clear();
  add(ImageToImage{init});
  add(ImageToImage{init}).sampler = SamplerKind::kEuler;
  add_mix(TextToImage{}, parts);
  add_mix(TextToImage{}, {{std::string("a house"), 1.0f}, {std::string("the sea"), 0.5f}}).negative_prompt =
      "fog";
  requests.back().negative_prior_prompt = "low quality";
  add_mix(ImageToImage{init}, parts).negative_prompt = "fog";
  add_mix(EmbedPrompt{}, parts).negative_prior_prompt = "fog";
  add_mix(EmbedPrompt{}, {{TestImage(crop, crop, 3, 9), 1.0f}, {embedding, 0.5f}});
  add(TextToImage{}).sampler = SamplerKind::kEulerAncestral;
  add(TextToImage{}).sampler = SamplerKind::kDpmSolverMultistep;
  add(TextToImage{}).sampler = SamplerKind::kDdpmLearnedRange;
  add(EmbedText{});
  add(EmbedImage{TestImage(crop, crop, 3, 6)});
  add(EmbedPrompt{}).negative_prompt = "low quality";
  add(EncodeLatents{TestImage(64, 64, 3, 7)});
  add(DecodeLatents{TestTensor({4, 64 / capabilities.latent_scale, 64 / capabilities.latent_scale}, 8)})
      .output.pixels = true;
  return requests;
}

GenerationResult RunAlone(LoadedPipeline& pipeline, const GenerationRequest& request) {
  return std::move(RunBatched(pipeline, {request}, {0}, 1).front());
}

std::vector<GenerationResult> RunBatched(LoadedPipeline& pipeline,
                                         const std::vector<GenerationRequest>& requests,
                                         const std::vector<int>& joins, size_t max_rows) {
  std::vector<std::unique_ptr<Sample>> samples(requests.size());
  size_t finished = 0;
  for (int round = 0; finished < requests.size(); ++round) {
    for (size_t i = 0; i < requests.size(); ++i) {
      if (joins[i] != round) continue;
      auto admitted = pipeline.Admit(requests[i]);
      EXPECT_TRUE(admitted.ok()) << admitted.status();
      samples[i] = std::move(*admitted);
    }
    std::vector<Sample*> batch;
    for (const auto& sample : samples) {
      if (sample == nullptr || sample->stage() == Stage::kDone || batch.size() == max_rows) continue;
      if (batch.empty() || sample->batch_key() == batch.front()->batch_key()) batch.push_back(sample.get());
    }
    if (batch.empty()) continue;
    const absl::Status status = pipeline.Step(batch);
    EXPECT_TRUE(status.ok()) << status;
    if (!status.ok()) return {};
    for (const Sample* sample : batch) finished += sample->stage() == Stage::kDone;
  }
  std::vector<GenerationResult> results;
  for (const auto& sample : samples) {
    auto result = sample->TakeResult();
    EXPECT_TRUE(result.ok()) << result.status();
    results.push_back(std::move(*result));
  }
  return results;
}

double PeakSignalToNoise(const Image& image, const torch::Tensor& expected) {
  const torch::Tensor actual = torch::from_blob(const_cast<uint8_t*>(image.pixels.data()),
                                                {image.height, image.width, image.channels}, torch::kUInt8);
  const double error =
      (actual.to(torch::kFloat64) - expected.to(torch::kFloat64)).square().mean().item<double>();
  return error == 0 ? 1000.0 : 10 * std::log10(255.0 * 255.0 / error);
}

const FloatTensor& MainTensor(const GenerationResult& result) {
  if (result.latents) return *result.latents;
  return result.embedding ? *result.embedding : result.pixels.value();
}

bool SameBits(const GenerationResult& a, const GenerationResult& b) {
  const auto same_tensors = [](const std::optional<FloatTensor>& left,
                               const std::optional<FloatTensor>& right) {
    if (!left || !right) return !left && !right;
    return left->shape == right->shape && left->values.size() == right->values.size() &&
           std::memcmp(left->values.data(), right->values.data(), left->values.size() * sizeof(float)) == 0;
  };
  const auto same_images = [](const std::optional<Image>& left, const std::optional<Image>& right) {
    if (!left || !right) return !left && !right;
    return left->width == right->width && left->height == right->height && left->pixels == right->pixels;
  };
  return same_images(a.image, b.image) && same_tensors(a.latents, b.latents) &&
         same_tensors(a.pixels, b.pixels) && same_tensors(a.embedding, b.embedding) &&
         same_tensors(a.negative_embedding, b.negative_embedding) &&
         same_tensors(a.hidden_states, b.hidden_states) && a.token_ids == b.token_ids;
}

double RelativeDifference(const GenerationResult& a_result, const GenerationResult& b_result) {
  const std::vector<float>& a = MainTensor(a_result).values;
  const std::vector<float>& b = MainTensor(b_result).values;
  EXPECT_EQ(a.size(), b.size());
  double difference = 0;
  double norm = 0;
  for (size_t i = 0; i < b.size(); ++i) {
    const double delta = double{a[i]} - double{b[i]};
    difference += delta * delta;
    norm += double{b[i]} * double{b[i]};
  }
  return std::sqrt(difference / norm);
}

}  // namespace kandinsky
