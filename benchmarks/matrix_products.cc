// Seconds of the matrix products of the published 2.2 networks, in the kernels whose rows do not depend on
// each other and in the library's, in turns. Prints one JSON object: for every number of images in a batch
// the sums over the shapes, weighted by how often a step runs them.
//
// Usage: matrix_products --threads 2 --repeats 5
#include <ATen/ATen.h>
#include <ATen/Parallel.h>
#include <c10/core/InferenceMode.h>

#include <CLI/CLI.hpp>
#include <algorithm>
#include <chrono>
#include <cstdio>
#include <exception>
#include <functional>
#include <string>
#include <vector>

#include "pipeline/models/matrix_product.h"

namespace kandinsky {
namespace {

// A layer's product for one image with guidance (two rows of the network).
struct Shape {
  int64_t products;  // 16 of a Winograd convolution, 1 of a linear layer
  int64_t rows;
  int64_t in;
  int64_t out;
  int times;  // in a step
};

// The U-Net's levels, convolutions and attention layers.
std::vector<Shape> UNetShapes(int64_t latent) {
  std::vector<Shape> shapes;
  constexpr int64_t kChannels[] = {384, 768, 1152, 1536};
  for (int level = 0; level < 4; ++level) {
    const int64_t side = latent >> level;
    const int64_t channels = kChannels[level];
    shapes.push_back({16, 2 * ((side + 1) / 2) * ((side + 1) / 2), channels, channels, 12});
    shapes.push_back({16, 2 * ((side + 1) / 2) * ((side + 1) / 2), 2 * channels, channels, 3});
    if (level > 0) shapes.push_back({1, 2 * side * side, channels, channels, 24});
  }
  return shapes;
}

// The prior's blocks: three tokens per row.
std::vector<Shape> PriorShapes() {
  return {{1, 6, 2048, 2048, 80}, {1, 6, 2048, 8192, 20}, {1, 6, 8192, 2048, 20}};
}

double Seconds(const std::function<void()>& run) {
  const auto start = std::chrono::steady_clock::now();
  run();
  return std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
}

struct Times {
  double ours = 0;
  double library = 0;
};

// Weighted by Shape::times.
Times Measure(const Shape& shape, int64_t images, int repeats) {
  const torch::Tensor x = at::randn({shape.products, images * shape.rows, shape.in});
  const torch::Tensor weight = at::randn({shape.products, shape.out, shape.in});
  torch::Tensor result = at::empty({shape.products, images * shape.rows, shape.out});
  const torch::Tensor packed = PackWeights(weight);
  const auto ours = [&] {
    if (shape.products > 1) return MultiplyPacked(x, packed, result);
    LinearByRow(x[0], weight[0], {});
  };
  const auto library = [&] {
    if (shape.products > 1) return static_cast<void>(at::bmm_out(result, x, weight.transpose(1, 2)));
    at::linear(x[0], weight[0]);
  };
  Times best{1e9, 1e9};
  for (int i = 0; i < repeats; ++i) {
    best.ours = std::min(best.ours, Seconds(ours));
    best.library = std::min(best.library, Seconds(library));
  }
  return {best.ours * shape.times, best.library * shape.times};
}

void Print(const std::string& name, const std::vector<Shape>& shapes, int64_t images, int repeats) {
  Times sum;
  for (const Shape& shape : shapes) {
    const Times times = Measure(shape, images, repeats);
    sum.ours += times.ours;
    sum.library += times.library;
  }
  std::printf("\"%s, %ld images\": {\"ours_s\": %.4f, \"library_s\": %.4f}", name.c_str(),
              static_cast<long>(images), sum.ours, sum.library);
}

void Run(int threads, int repeats) {
  at::set_num_threads(threads);
  const c10::InferenceMode inference_mode;
  const char* separator = "{";
  for (const int64_t images : {1, 4, 8}) {
    const std::pair<std::string, std::vector<Shape>> networks[] = {
        {"U-Net 256x256", UNetShapes(32)}, {"U-Net 512x512", UNetShapes(64)}, {"Prior", PriorShapes()}};
    for (const auto& [name, shapes] : networks) {
      std::printf("%s", separator);
      Print(name, shapes, images, repeats);
      separator = ", ";
    }
  }
  std::printf("}\n");
}

}  // namespace
}  // namespace kandinsky

int main(int argc, char** argv) try {
  CLI::App app("Times the matrix products of a step in batches of 1, 4 and 8 images");
  int threads = 2;
  int repeats = 5;
  app.add_option("--threads", threads, "Compute threads")->check(CLI::Range(1, 256));
  app.add_option("--repeats", repeats, "Measurements of each")->check(CLI::Range(1, 1000));
  CLI11_PARSE(app, argc, argv);
  kandinsky::Run(threads, repeats);
  return 0;
} catch (const std::exception& error) {
  std::fprintf(stderr, "matrix_products: %s\n", error.what());
  return 1;
}
