// Group norm with SiLU at every shape of the U-Nets and autoencoders: seconds of our kernel (into new memory
// and in place) and of PyTorch's in channels_last, in turns, and the errors of both and of PyTorch's on the
// default memory format against double precision. Prints a line per shape to standard error, and one JSON
// object with the sums.
//
// Usage: group_norm --threads 2 --repeats 3 [--image 512]
#include <ATen/ATen.h>
#include <ATen/Parallel.h>
#include <c10/core/InferenceMode.h>

#include <CLI/CLI.hpp>
#include <algorithm>
#include <array>
#include <chrono>
#include <cstdio>
#include <exception>
#include <functional>
#include <limits>
#include <vector>

#include "pipeline/models/group_norm.h"

namespace kandinsky {
namespace {

constexpr int64_t kGroups = 32;
constexpr double kEps = 1e-5;

struct Shape {
  int64_t rows;
  int64_t channels;
  int64_t side;
};

// The U-Nets 2.0 to 2.2 with two rows (guidance), and the autoencoders, for a square image.
std::vector<Shape> ShapesFor(int64_t image) {
  const int64_t latent = image / 8;
  std::vector<Shape> shapes;
  for (const int64_t channels : {384, 768, 1152}) shapes.push_back({2, channels, latent});
  for (const int64_t channels : {384, 768, 1152, 1536, 1920}) shapes.push_back({2, channels, latent / 2});
  for (const int64_t channels : {768, 1152, 1920, 2304, 2688}) shapes.push_back({2, channels, latent / 4});
  for (const int64_t channels : {1152, 1536, 2688, 3072}) shapes.push_back({2, channels, latent / 8});
  for (const int64_t channels : {512, 256}) shapes.push_back({1, channels, image / 8});
  for (const int64_t channels : {512, 256}) shapes.push_back({1, channels, image / 4});
  for (const int64_t channels : {512, 256, 128}) shapes.push_back({1, channels, image / 2});
  for (const int64_t channels : {256, 128}) shapes.push_back({1, channels, image});
  return shapes;
}

// Least seconds of each of several functions that are run in turns, for at least so long and so often. The
// first round warms up and is not counted.
template <size_t kCount>
std::array<double, kCount> BestSeconds(int repeats,
                                       const std::array<std::function<torch::Tensor()>, kCount>& functions) {
  constexpr double kMinSeconds = 0.3;
  std::array<double, kCount> best;
  best.fill(std::numeric_limits<double>::infinity());
  double spent = 0;
  for (int i = -1; i < repeats || spent < kMinSeconds; ++i) {
    for (size_t j = 0; j < kCount; ++j) {
      const auto start = std::chrono::steady_clock::now();
      const torch::Tensor result = functions[j]();
      const std::chrono::duration<double> elapsed = std::chrono::steady_clock::now() - start;
      spent += elapsed.count();
      if (i >= 0) best[j] = std::min(best[j], elapsed.count());
    }
  }
  return best;
}

double Error(const torch::Tensor& actual, const torch::Tensor& expected) {
  return ((actual.to(at::kDouble) - expected).norm() / expected.norm()).item<double>();
}

struct Result {
  double ours_seconds;
  double in_place_seconds;
  double peer_seconds;
  double ours_error;
  double peer_error;
  double default_format_error;
};

Result Measure(const Shape& shape, int repeats) {
  const torch::Tensor x = torch::randn({shape.rows, shape.channels, shape.side, shape.side});
  const torch::Tensor pixels = x.contiguous(at::MemoryFormat::ChannelsLast);
  GroupNorm norm(kGroups, shape.channels, kEps);
  norm.weight.set_data(torch::randn({shape.channels}) * 0.1 + 1);
  norm.bias.set_data(torch::randn({shape.channels}) * 0.1);
  const auto ours = [&] { return norm.forward(pixels, {.silu = true}); };
  const auto pytorch = [&](const torch::Tensor& input) {
    torch::Tensor y = at::group_norm(input, kGroups, norm.weight, norm.bias, kEps);
    return at::silu_(y);
  };
  Result result{};
  torch::Tensor overwritten = pixels.clone();
  const auto in_place = [&] { return norm.ForwardInPlace(torch::Tensor(overwritten), {.silu = true}); };
  const auto best = BestSeconds<3>(repeats, {ours, in_place, [&] { return pytorch(pixels); }});
  result.ours_seconds = best[0];
  result.in_place_seconds = best[1];
  result.peer_seconds = best[2];
  const torch::Tensor expected = at::silu(at::group_norm(
      x.to(at::kDouble), kGroups, norm.weight.to(at::kDouble), norm.bias.to(at::kDouble), kEps));
  result.ours_error = Error(ours(), expected);
  result.peer_error = Error(pytorch(pixels), expected);
  result.default_format_error = Error(pytorch(x), expected);
  return result;
}

int Run(int64_t image, int repeats) {
  const c10::InferenceMode inference_mode;
  double ours = 0, in_place = 0, peer = 0, worst_speed = std::numeric_limits<double>::infinity(),
         worst_error = 0;
  for (const Shape& shape : ShapesFor(image)) {
    const Result result = Measure(shape, repeats);
    std::fprintf(
        stderr,
        "[%ld, %4ld, %4ld^2] %8.3f ms, in place %8.3f ms, PyTorch %8.3f ms, ratio %.2f; errors %.1e, "
        "%.1e, default format %.1e\n",
        shape.rows, shape.channels, shape.side, 1e3 * result.ours_seconds, 1e3 * result.in_place_seconds,
        1e3 * result.peer_seconds, result.peer_seconds / result.ours_seconds, result.ours_error,
        result.peer_error, result.default_format_error);
    ours += result.ours_seconds;
    in_place += result.in_place_seconds;
    peer += result.peer_seconds;
    worst_speed = std::min(worst_speed, result.peer_seconds / result.ours_seconds);
    worst_error = std::max(worst_error, result.ours_error / result.default_format_error);
  }
  std::printf(
      "{\"ours_ms\": %.2f, \"in_place_ms\": %.2f, \"peer_ms\": %.2f, \"worst_speed_ratio\": %.2f, "
      "\"worst_error_ratio\": %.2f}\n",
      1e3 * ours, 1e3 * in_place, 1e3 * peer, worst_speed, worst_error);
  return 0;
}

}  // namespace
}  // namespace kandinsky

int main(int argc, char** argv) try {
  CLI::App app("Times and checks group norm with SiLU at the shapes of the models");
  int64_t image = 512;
  int threads = 2;
  int repeats = 5;
  app.add_option("--image", image, "Height and width of the image")->check(CLI::Range(64, 1024));
  app.add_option("--threads", threads, "Compute threads")->check(CLI::Range(1, 256));
  app.add_option("--repeats", repeats, "Timed runs")->check(CLI::Range(1, 1000));
  CLI11_PARSE(app, argc, argv);
  at::set_num_threads(threads);
  return kandinsky::Run(image, repeats);
} catch (const std::exception& error) {
  std::fprintf(stderr, "group_norm: %s\n", error.what());
  return 1;
}
