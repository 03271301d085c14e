// Seconds of one guided step (two rows per image) of the full published 2.2 decoder U-Net with random
// weights, as the denoise stage runs it: context and time conditioning computed before, prepared for
// inference. Prints one JSON object.
//
// Usage: unet_step --latent 32 --images 1 --threads 2 --repeats 5
#include <ATen/Parallel.h>
#include <c10/core/InferenceMode.h>
#include <torch/types.h>

#include <CLI/CLI.hpp>
#include <algorithm>
#include <chrono>
#include <cstdio>
#include <exception>
#include <vector>

#include "pipeline/models/unet_2d_condition_model.h"

namespace kandinsky {
namespace {

// Small uniform weights: speed does not depend on the values as long as nothing overflows or becomes
// denormal.
void FillWeights(torch::nn::Module& module) {
  const torch::NoGradGuard no_grad;
  for (torch::Tensor& parameter : module.parameters()) parameter.uniform_(-0.02, 0.02);
}

double Seconds(std::chrono::steady_clock::duration duration) {
  return std::chrono::duration<double>(duration).count();
}

int Run(int latent, int images, int threads, int repeats) {
  at::set_num_threads(threads);
  const UNet2DConditionConfig config;
  UNet2DConditionModel unet(config);
  FillWeights(unet);
  PrepareForInference(unet);
  const c10::InferenceMode inference_mode;
  const torch::Tensor embeddings = torch::randn({2, config.encoder_hid_dim});
  const UNetContext context = unet.encode_context(embeddings);
  const UNetTime time = unet.encode_time(torch::arange(1, 1 + repeats, torch::kFloat32), embeddings);

  std::vector<double> seconds;
  for (int i = -1; i < repeats; ++i) {  // the first run warms up and is not counted
    const torch::Tensor sample = torch::randn({2 * images, config.in_channels, latent, latent})
                                     .contiguous(at::MemoryFormat::ChannelsLast);
    const auto start = std::chrono::steady_clock::now();
    const std::vector<UNetConditionRows> rows(static_cast<size_t>(images), {&context, &time, std::max(i, 0)});
    const torch::Tensor output = unet.forward(sample, AssembleConditions(rows));
    const double elapsed = Seconds(std::chrono::steady_clock::now() - start);
    if (!torch::isfinite(output).all().item<bool>()) {
      std::fprintf(stderr, "the output is not finite\n");
      return 1;
    }
    if (i >= 0) seconds.push_back(elapsed);
  }
  std::sort(seconds.begin(), seconds.end());
  std::printf("{\"best_s\": %.4f, \"median_s\": %.4f, \"repeats\": %d}\n", seconds.front(),
              seconds[seconds.size() / 2], repeats);
  return 0;
}

}  // namespace
}  // namespace kandinsky

int main(int argc, char** argv) try {
  CLI::App app("Times one guided step of the full-size 2.2 U-Net");
  int latent = 32;
  int images = 1;
  int threads = 2;
  int repeats = 5;
  app.add_option("--images", images, "Images in the batch")->check(CLI::Range(1, 64));
  app.add_option("--latent", latent, "Latent height and width (32 is an image of 256x256)")
      ->check(CLI::Range(8, 256));
  app.add_option("--threads", threads, "Compute threads")->check(CLI::Range(1, 256));
  app.add_option("--repeats", repeats, "Timed steps")->check(CLI::Range(1, 1000));
  CLI11_PARSE(app, argc, argv);
  return kandinsky::Run(latent, images, threads, repeats);
} catch (const std::exception& error) {
  std::fprintf(stderr, "unet_step: %s\n", error.what());
  return 1;
}
