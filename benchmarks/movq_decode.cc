// Seconds of decoding one image with the full published MOVQ with random weights, prepared for inference.
// Prints one JSON object.
//
// Usage: movq_decode --latent 64 --threads 2 --repeats 3
#include <ATen/Parallel.h>
#include <c10/core/InferenceMode.h>
#include <torch/types.h>

#include <CLI/CLI.hpp>
#include <algorithm>
#include <chrono>
#include <cstdio>
#include <exception>
#include <limits>

#include "pipeline/models/layers.h"
#include "pipeline/models/vq_model.h"

namespace kandinsky {
namespace {

int Run(int latent, int threads, int repeats) {
  at::set_num_threads(threads);
  const VQModelConfig config;
  VQModel movq(config);
  {
    const torch::NoGradGuard no_grad;
    for (torch::Tensor& parameter : movq.parameters()) parameter.uniform_(-0.02, 0.02);
  }
  PrepareForInference(movq);
  const c10::InferenceMode inference_mode;
  double best = std::numeric_limits<double>::infinity();
  for (int i = -1; i < repeats; ++i) {  // the first run warms up and is not counted
    const torch::Tensor latents =
        torch::randn({1, config.latent_channels, latent, latent}).contiguous(at::MemoryFormat::ChannelsLast);
    const auto start = std::chrono::steady_clock::now();
    const torch::Tensor pixels = movq.decode(latents);
    const std::chrono::duration<double> elapsed = std::chrono::steady_clock::now() - start;
    if (!torch::isfinite(pixels).all().item<bool>()) {
      std::fprintf(stderr, "the output is not finite\n");
      return 1;
    }
    if (i >= 0) best = std::min(best, elapsed.count());
  }
  std::printf("{\"best_s\": %.4f, \"repeats\": %d}\n", best, repeats);
  return 0;
}

}  // namespace
}  // namespace kandinsky

int main(int argc, char** argv) try {
  CLI::App app("Times decoding one image with the full-size MOVQ");
  int latent = 64;
  int threads = 2;
  int repeats = 3;
  app.add_option("--latent", latent, "Latent height and width (64 is an image of 512x512)")
      ->check(CLI::Range(8, 256));
  app.add_option("--threads", threads, "Compute threads")->check(CLI::Range(1, 256));
  app.add_option("--repeats", repeats, "Timed images")->check(CLI::Range(1, 1000));
  CLI11_PARSE(app, argc, argv);
  return kandinsky::Run(latent, threads, repeats);
} catch (const std::exception& error) {
  std::fprintf(stderr, "movq_decode: %s\n", error.what());
  return 1;
}
