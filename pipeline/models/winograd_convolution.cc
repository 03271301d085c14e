#include "pipeline/models/winograd_convolution.h"

#include <ATen/ATen.h>

#include <algorithm>
#include <array>
#include <cstdint>
#include <cstring>
#include <utility>
#include <vector>

#include "pipeline/models/half_conversion.h"
#include "pipeline/models/matrix_kernel.h"
#include "pipeline/models/matrix_product.h"
#include "pipeline/models/parallel.h"
#include "pipeline/models/weight_memory.h"

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

// A pair of output channels, in double precision.
using Double2 = double __attribute__((vector_size(16)));
using Float2 = float __attribute__((vector_size(8)));

// The rows of G: what three taps of a line become.
struct WeightLine {
  WeightLine() = default;
  WeightLine(Double2 a, Double2 b, Double2 c) : values{a, (a + b + c) / 2, (a - b + c) / 2, c} {}
  Double2 values[4];
};

// G g G^T of one input channel and a panel of output channels, rounded once. `taps` is [9, kPanelColumns],
// `to` the first of 16 times kPanelColumns results that lie `stride` apart.
void TransformTaps(const float* taps, float* to, int64_t stride) {
  // Results go to memory by whole lines of the cache: the places they belong to may share its sets.
  float results[kPositions * kPanelColumns];
  for (int64_t column = 0; column < kPanelColumns; column += 2) {
    const auto tap = [&](int64_t k) {
      Float2 pair;
      std::memcpy(&pair, taps + k * kPanelColumns + column, sizeof(pair));
      return __builtin_convertvector(pair, Double2);
    };
    WeightLine columns[3];
    for (int64_t j = 0; j < 3; ++j) columns[j] = WeightLine(tap(j), tap(3 + j), tap(6 + j));
    for (int64_t i = 0; i < 4; ++i) {
      const WeightLine row(columns[0].values[i], columns[1].values[i], columns[2].values[i]);
      for (int64_t j = 0; j < 4; ++j) {
        const Float2 rounded = __builtin_convertvector(row.values[j], Float2);
        std::memcpy(results + (4 * i + j) * kPanelColumns + column, &rounded, sizeof(rounded));
      }
    }
  }
  for (int64_t k = 0; k < kPositions; ++k) {
    std::copy_n(results + k * kPanelColumns, kPanelColumns, to + k * stride);
  }
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

constexpr int64_t kTaps = 9;
constexpr int64_t kBlockChannels = 16;  // input channels that are brought into the order of a panel at once

// Rows of a weight, [columns, depth] that lie `stride` apart in a tensor of float32 or of half precision,
// which becomes float32 in `scratch` [kPanelColumns, kBlockChannels * kTaps].
ConstRows FloatRows(const torch::Tensor& weight, int64_t offset, int64_t columns, int64_t depth,
                    float* scratch) {
  const int64_t stride = weight.stride(0);
  if (weight.scalar_type() == at::kFloat) return {weight.const_data_ptr<float>() + offset, stride};
  const auto* halves = static_cast<const uint16_t*>(weight.const_data_ptr()) + offset;
  for (int64_t row = 0; row < columns; ++row) {
    HalvesToFloats(halves + row * stride, depth, scratch + row * kBlockChannels * kTaps);
  }
  return {scratch, kBlockChannels * kTaps};
}

}  // namespace

WinogradWeight TransformWinogradWeight(const torch::Tensor& weight) {
  const int64_t out_channels = weight.size(0), in_channels = weight.size(1);
  const int64_t panels = (out_channels + kPanelColumns - 1) / kPanelColumns;
  const int64_t blocks = (in_channels + kBlockChannels - 1) / kBlockChannels;
  const torch::Tensor from = weight.contiguous();
  torch::Tensor to = EmptyWeight({kPositions, panels, in_channels, kPanelColumns});
  float* values = to.mutable_data_ptr<float>();
  ParallelFor(0, panels * blocks, /*grain_size=*/1, [&](int64_t begin, int64_t end) {
    std::array<float, static_cast<size_t>(kBlockChannels * kTaps * kPanelColumns)> packed, scratch;
    for (int64_t i = begin; i < end; ++i) {
      const int64_t first_out = i / blocks * kPanelColumns, first_in = i % blocks * kBlockChannels;
      const int64_t channels = std::min(kBlockChannels, in_channels - first_in);
      const int64_t columns = std::min(kPanelColumns, out_channels - first_out);
      const ConstRows rows = FloatRows(from, (first_out * in_channels + first_in) * kTaps, columns,
                                       channels * kTaps, scratch.data());
      PackTransposed(rows, columns, channels * kTaps, packed.data());
      for (int64_t channel = 0; channel < channels; ++channel) {
        TransformTaps(packed.data() + channel * kTaps * kPanelColumns,
                      values + (i / blocks * in_channels + first_in + channel) * kPanelColumns, to.stride(0));
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
