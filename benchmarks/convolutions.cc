// Processor time of the 3x3 convolutions of a U-Net step and of MOVQ's decoder: by Winograd's way, directly,
// both with kernels of our own, and by oneDNN in channels_last, in turns. Prints a line per shape to standard
// error, and one JSON object with the sums, weighted by about how often a step runs them.
//
// Usage: convolutions --repeats 3
#include <ATen/ATen.h>
#include <ATen/Parallel.h>
#include <c10/core/InferenceMode.h>

#include <CLI/CLI.hpp>
#include <algorithm>
#include <array>
#include <cstdio>
#include <ctime>
#include <exception>
#include <functional>
#include <limits>
#include <string>
#include <utility>
#include <vector>

#include "pipeline/models/convolution_by_row.h"
#include "pipeline/models/winograd_convolution.h"

namespace kandinsky {
namespace {

struct Shape {
  int64_t rows;
  int64_t in;
  int64_t out;
  int64_t side;
  int times;  // in a step, about
};

// The U-Net's levels with two rows (guidance).
std::vector<Shape> UNetShapes(int64_t latent) {
  std::vector<Shape> shapes;
  constexpr int64_t kChannels[] = {384, 768, 1152, 1536};
  for (int level = 0; level < 4; ++level) {
    const int64_t channels = kChannels[level];
    shapes.push_back({2, channels, channels, latent >> level, 12});
    shapes.push_back({2, 2 * channels, channels, latent >> level, 3});
  }
  return shapes;
}

// MOVQ's decoder for a square image.
std::vector<Shape> MovqShapes(int64_t image) {
  return {{1, 512, 512, image / 8, 10}, {1, 512, 512, image / 4, 1}, {1, 512, 256, image / 4, 1},
          {1, 256, 256, image / 4, 5},  {1, 256, 256, image / 2, 7}, {1, 256, 256, image, 1},
          {1, 256, 128, image, 1},      {1, 128, 128, image, 5}};
}

double Seconds(const std::function<torch::Tensor()>& run) {
  const std::clock_t start = std::clock();
  const torch::Tensor result = run();
  return static_cast<double>(std::clock() - start) / CLOCKS_PER_SEC;
}

// Winograd's, direct, oneDNN's.
using Times = std::array<double, 3>;

Times Measure(const Shape& shape, int repeats) {
  const auto channels_last = [](const torch::Tensor& t) {
    return t.contiguous(at::MemoryFormat::ChannelsLast);
  };
  const torch::Tensor x = channels_last(at::randn({shape.rows, shape.in, shape.side, shape.side}));
  const torch::Tensor weight = channels_last(at::randn({shape.out, shape.in, 3, 3}));
  const torch::Tensor bias = at::randn({shape.out});
  const WinogradWeight transformed = TransformWinogradWeight(weight);
  const std::array<std::function<torch::Tensor()>, 3> ways = {
      [&] { return WinogradConvolution(x, transformed, bias); },
      [&] { return ConvolutionByRow(x, weight, bias, 1, 1); },
      [&] {
        return at::conv2d(x, weight, bias, {1, 1}, {1, 1});
      }};
  Times best;
  best.fill(std::numeric_limits<double>::infinity());
  for (int i = 0; i < repeats; ++i) {
    for (size_t way = 0; way < ways.size(); ++way) best[way] = std::min(best[way], Seconds(ways[way]));
  }
  std::fprintf(stderr, "[%ld, %4ld -> %4ld, %3ld^2] Winograd %8.2f ms, direct %8.2f ms, oneDNN %8.2f ms\n",
               shape.rows, shape.in, shape.out, shape.side, 1e3 * best[0], 1e3 * best[1], 1e3 * best[2]);
  return best;
}

void Print(const std::string& name, const std::vector<Shape>& shapes, int repeats) {
  Times sum{};
  double best = 0;  // of the two ways of our own
  for (const Shape& shape : shapes) {
    const Times times = Measure(shape, repeats);
    for (size_t way = 0; way < times.size(); ++way) sum[way] += times[way] * shape.times;
    best += std::min(times[0], times[1]) * shape.times;
  }
  std::printf(
      "\"%s\": {\"winograd_s\": %.3f, \"direct_s\": %.3f, \"onednn_s\": %.3f, \"best_of_ours_s\": %.3f}",
      name.c_str(), sum[0], sum[1], sum[2], best);
}

void Run(int repeats) {
  // Threads that wait for each other would be counted, too.
  at::set_num_threads(1);
  const c10::InferenceMode inference_mode;
  const std::pair<std::string, std::vector<Shape>> networks[] = {{"U-Net 256x256", UNetShapes(32)},
                                                                 {"U-Net 512x512", UNetShapes(64)},
                                                                 {"MOVQ decode 512x512", MovqShapes(512)}};
  const char* separator = "{";
  for (const auto& [name, shapes] : networks) {
    std::printf("%s", separator);
    Print(name, shapes, repeats);
    separator = ", ";
  }
  std::printf("}\n");
}

}  // namespace
}  // namespace kandinsky

int main(int argc, char** argv) try {
  CLI::App app("Times, on one thread, the 3x3 convolutions of the published 2.2 networks");
  int repeats = 3;
  app.add_option("--repeats", repeats, "Measurements of each")->check(CLI::Range(1, 1000));
  CLI11_PARSE(app, argc, argv);
  kandinsky::Run(repeats);
  return 0;
} catch (const std::exception& error) {
  std::fprintf(stderr, "convolutions: %s\n", error.what());
  return 1;
}
