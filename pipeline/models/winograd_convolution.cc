#include "pipeline/models/winograd_convolution.h"

#include <ATen/ATen.h>

#include <algorithm>
#include <array>
#include <cstdint>
#include <cstring>
#include <utility>
#include <vector>

#include "pipeline/models/matrix_kernel.h"
#include "pipeline/models/matrix_product.h"
#include "pipeline/models/parallel.h"

namespace kandinsky {
namespace {

constexpr int64_t kPositions = 16;  // of a tile: 4x4 inputs, 2x2 outputs
constexpr int64_t kLanes = 4;
// Tiles are worked on in chunks whose inputs and products stay in the caches.
constexpr int64_t kChunkBytes = int64_t{8} << 20;
constexpr int64_t kMinChunkTiles = 128;  // for fewer it takes too long to read the weights

// Four channels.
using Float4 = float __attribute__((vector_size(16)));

Float4 Load(const float* from) {
  Float4 value;
  std::memcpy(&value, from, sizeof(value));
  return value;
}

void Store(float* to, Float4 value) { std::memcpy(to, &value, sizeof(value)); }

// Where the tiles of an image are.
struct TileGrid {
  int64_t height;
  int64_t width;
  int64_t rows = (height + 1) / 2;
  int64_t columns = (width + 1) / 2;

  struct Tile {
    int64_t image;
    int64_t y;  // of its first output
    int64_t x;
  };
  Tile At(int64_t index) const {
    const int64_t in_image = index % (rows * columns);
    return {index / (rows * columns), in_image / columns * 2, in_image % columns * 2};
  }
};

// A run of tiles and the memory of what is computed for them.
struct Chunk {
  int64_t first_tile;
  int64_t tiles;
  torch::Tensor inputs;    // [16, tiles, in_channels]
  torch::Tensor products;  // [16, tiles, out_channels]
};

// The rows of B^T: what four inputs of a line become.
struct InputLine {
  InputLine() = default;
  InputLine(Float4 d0, Float4 d1, Float4 d2, Float4 d3) : values{d0 - d2, d1 + d2, d2 - d1, d1 - d3} {}
  Float4 values[4];
};

// The rows of A^T: the two outputs that four products of a line become.
struct OutputLine {
  OutputLine() = default;
  OutputLine(Float4 m0, Float4 m1, Float4 m2, Float4 m3) : values{m0 + m1 + m2, m1 - m2 - m3} {}
  Float4 values[2];
};

// B^T d B of one tile. `from` points to the channels of the tile's 16 pixels, row by row; `to` to the first
// of 16 results that lie `stride` apart.
void TransformInputTile(const std::array<const float*, kPositions>& from, int64_t channels, float* to,
                        int64_t stride) {
  for (int64_t c = 0; c < channels; c += kLanes) {
    InputLine columns[4];
    for (size_t j = 0; j < 4; ++j) {
      columns[j] =
          InputLine(Load(from[j] + c), Load(from[4 + j] + c), Load(from[8 + j] + c), Load(from[12 + j] + c));
    }
    for (int i = 0; i < 4; ++i) {
      const InputLine row(columns[0].values[i], columns[1].values[i], columns[2].values[i],
                          columns[3].values[i]);
      for (int j = 0; j < 4; ++j) Store(to + (4 * i + j) * stride + c, row.values[j]);
    }
  }
}

// A^T m A of one tile plus bias. `to` has the channels of the tile's 4 outputs, null outside of the image.
void TransformOutputTile(const float* from, int64_t stride, const float* bias, int64_t channels,
                         const std::array<float*, 4>& to) {
  for (int64_t c = 0; c < channels; c += kLanes) {
    OutputLine columns[4];
    for (int j = 0; j < 4; ++j) {
      const float* column = from + j * stride + c;
      columns[j] = OutputLine(Load(column), Load(column + 4 * stride), Load(column + 8 * stride),
                              Load(column + 12 * stride));
    }
    for (size_t i = 0; i < 2; ++i) {
      const OutputLine row(columns[0].values[i], columns[1].values[i], columns[2].values[i],
                           columns[3].values[i]);
      for (size_t j = 0; j < 2; ++j) {
        if (to[2 * i + j] != nullptr) Store(to[2 * i + j] + c, row.values[j] + Load(bias + c));
      }
    }
  }
}

// The rows of G: what three taps of a line become.
void TransformLine(double a, double b, double c, double* to, int64_t stride) {
  to[0] = a;
  to[stride] = (a + b + c) / 2;
  to[2 * stride] = (a - b + c) / 2;
  to[3 * stride] = c;
}

// G g G^T of one pair of channels, rounded once.
void TransformTaps(const float* taps, float* to) {
  double columns[4 * 3];
  for (int64_t j = 0; j < 3; ++j) {
    TransformLine(double{taps[j]}, double{taps[3 + j]}, double{taps[6 + j]}, columns + j, 3);
  }
  double values[kPositions];
  for (int64_t i = 0; i < 4; ++i) {
    TransformLine(columns[3 * i], columns[3 * i + 1], columns[3 * i + 2], values + 4 * i, 1);
  }
  for (int64_t i = 0; i < kPositions; ++i) to[i] = static_cast<float>(values[i]);
}

void TransformInputs(const torch::Tensor& x, const TileGrid& grid, const Chunk& chunk) {
  const int64_t channels = x.size(1);
  const float* pixels = x.const_data_ptr<float>();
  float* inputs = chunk.inputs.mutable_data_ptr<float>();
  const std::vector<float> padding(static_cast<size_t>(channels), 0.0F);
  ParallelFor(0, chunk.tiles, /*grain_size=*/8, [&](int64_t begin, int64_t end) {
    for (int64_t i = begin; i < end; ++i) {
      const TileGrid::Tile tile = grid.At(chunk.first_tile + i);
      std::array<const float*, kPositions> from;
      for (int64_t k = 0; k < kPositions; ++k) {
        const int64_t y = tile.y - 1 + k / 4;
        const int64_t column = tile.x - 1 + k % 4;
        const bool inside = y >= 0 && y < grid.height && column >= 0 && column < grid.width;
        from[static_cast<size_t>(k)] =
            inside ? pixels + ((tile.image * grid.height + y) * grid.width + column) * channels
                   : padding.data();
      }
      TransformInputTile(from, channels, inputs + i * channels, chunk.tiles * channels);
    }
  });
}

void TransformOutputs(const Chunk& chunk, const torch::Tensor& bias, const TileGrid& grid,
                      const torch::Tensor& output) {
  const int64_t channels = output.size(1);
  const float* products = chunk.products.const_data_ptr<float>();
  const float* offsets = bias.const_data_ptr<float>();
  float* pixels = output.mutable_data_ptr<float>();
  ParallelFor(0, chunk.tiles, /*grain_size=*/8, [&](int64_t begin, int64_t end) {
    for (int64_t i = begin; i < end; ++i) {
      const TileGrid::Tile tile = grid.At(chunk.first_tile + i);
      std::array<float*, 4> to;
      for (int64_t k = 0; k < 4; ++k) {
        const int64_t y = tile.y + k / 2;
        const int64_t column = tile.x + k % 2;
        const bool inside = y < grid.height && column < grid.width;
        to[static_cast<size_t>(k)] =
            inside ? pixels + ((tile.image * grid.height + y) * grid.width + column) * channels : nullptr;
      }
      TransformOutputTile(products + i * channels, chunk.tiles * channels, offsets, channels, to);
    }
  });
}

}  // namespace

WinogradWeight TransformWinogradWeight(const torch::Tensor& weight) {
  const int64_t out_channels = weight.size(0), in_channels = weight.size(1);
  const int64_t panels = (out_channels + kPanelColumns - 1) / kPanelColumns;
  const torch::Tensor from = weight.contiguous();
  torch::Tensor to = at::zeros({kPositions, panels, in_channels, kPanelColumns}, from.options());
  const float* taps = from.const_data_ptr<float>();
  float* values = to.mutable_data_ptr<float>();
  ParallelFor(0, panels * in_channels, /*grain_size=*/64, [&](int64_t begin, int64_t end) {
    for (int64_t i = begin; i < end; ++i) {
      const int64_t first = i / in_channels * kPanelColumns;
      for (int64_t column = 0; column < std::min(kPanelColumns, out_channels - first); ++column) {
        float transformed[kPositions];
        TransformTaps(taps + ((first + column) * in_channels + i % in_channels) * 9, transformed);
        for (int64_t k = 0; k < kPositions; ++k)
          values[k * to.stride(0) + i * kPanelColumns + column] = transformed[k];
      }
    }
  });
  return {.panels = std::move(to), .out_channels = out_channels};
}

torch::Tensor WinogradConvolution(const torch::Tensor& x, const WinogradWeight& weight,
                                  const torch::Tensor& bias) {
  const int64_t in_channels = weight.panels.size(2);
  const int64_t out_channels = weight.out_channels;
  TORCH_CHECK(x.dim() == 4 && x.size(1) == in_channels, "expected ", in_channels,
              " channels, got an input of ", x.sizes());
  TORCH_CHECK(!x.requires_grad() || !at::GradMode::is_enabled(),
              "a convolution prepared for inference records no gradient");
  const TileGrid grid{.height = x.size(2), .width = x.size(3)};
  const torch::Tensor pixels = x.contiguous(at::MemoryFormat::ChannelsLast);
  const torch::Tensor offsets = bias.defined() ? bias : at::zeros({out_channels}, x.options());
  torch::Tensor output = at::empty({x.size(0), out_channels, grid.height, grid.width}, x.options(),
                                   at::MemoryFormat::ChannelsLast);
  const int64_t tiles = x.size(0) * grid.rows * grid.columns;
  const int64_t tile_bytes = kPositions * (in_channels + out_channels) * int64_t{sizeof(float)};
  const int64_t chunk_tiles = std::min(tiles, std::max(kMinChunkTiles, kChunkBytes / tile_bytes));
  for (int64_t first = 0; first < tiles; first += chunk_tiles) {
    const int64_t count = std::min(chunk_tiles, tiles - first);
    Chunk chunk{.first_tile = first,
                .tiles = count,
                .inputs = at::empty({kPositions, count, in_channels}, x.options()),
                .products = at::empty({kPositions, count, out_channels}, x.options())};
    TransformInputs(pixels, grid, chunk);
    MultiplyPacked(chunk.inputs, weight.panels, chunk.products);
    TransformOutputs(chunk, offsets, grid, output);
  }
  return output;
}

}  // namespace kandinsky
