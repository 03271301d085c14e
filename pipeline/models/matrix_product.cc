#include "pipeline/models/matrix_product.h"

#include <ATen/ATen.h>
#include <ATen/Parallel.h>

#include <algorithm>
#include <memory>
#include <vector>

#include "pipeline/models/matrix_kernel.h"
#include "pipeline/models/parallel.h"

namespace kandinsky {
namespace {

// A group of panels of one block stays in the second-level cache while all rows pass.
constexpr int64_t kGroupPanels = 8;
constexpr int64_t kPanelFloats = kBlockDepth * kPanelColumns;
// A block of so many rows stays in the first-level cache while the panels of the group pass.
constexpr int64_t kTileRows = 12;
constexpr int64_t kTaskRows = 80 * kTileRows;

int64_t Quotient(int64_t a, int64_t b) { return (a + b - 1) / b; }

// Where the right-hand side comes from: panels that were packed before, or rows [columns, depth] to pack.
struct RightSide {
  const float* packed = nullptr;
  ConstRows rows;
};

struct Product {
  ConstRows left;
  RightSide right;
  const float* bias = nullptr;  // null: none
  Rows to;
  int64_t rows = 0;
  int64_t depth = 0;
  int64_t columns = 0;
};

// A product's division into tasks: parts of it that write different elements.
struct Tasks {
  Tasks(int64_t rows, int64_t columns, int64_t products) {
    const int64_t panels = Quotient(columns, kPanelColumns);
    const int64_t row_tasks = Quotient(rows, kTaskRows);
    // Narrower groups where there would be less than a few tasks per thread.
    const int64_t wanted = Quotient(4 * at::get_num_threads(), products * row_tasks);
    group = std::clamp<int64_t>(panels / wanted, 1, kGroupPanels);
    groups = Quotient(panels, group);
    count = row_tasks * groups;
  }
  int64_t group;   // panels of a task
  int64_t groups;  // tasks side by side
  int64_t count;
};

void RunTask(const Product& product, const Tasks& tasks, int64_t task, float* scratch) {
  const int64_t first_panel = task % tasks.groups * tasks.group;
  const int64_t panels = std::min(tasks.group, Quotient(product.columns, kPanelColumns) - first_panel);
  const int64_t first_row = task / tasks.groups * kTaskRows;
  const int64_t end_row = std::min(first_row + kTaskRows, product.rows);
  for (int64_t k = 0; k < product.depth; k += kBlockDepth) {
    const int64_t depth = std::min(kBlockDepth, product.depth - k);
    const auto width = [&](int64_t panel) {
      return std::min(kPanelColumns, product.columns - (first_panel + panel) * kPanelColumns);
    };
    const auto block = [&](int64_t panel) -> const float* {
      if (product.right.packed == nullptr) return scratch + panel * kPanelFloats;
      return product.right.packed + ((first_panel + panel) * product.depth + k) * kPanelColumns;
    };
    if (product.right.packed == nullptr) {
      for (int64_t panel = 0; panel < panels; ++panel) {
        const ConstRows& rows = product.right.rows;
        const float* from = rows.data + (first_panel + panel) * kPanelColumns * rows.stride + k;
        PackTransposed({from, rows.stride}, width(panel), depth, scratch + panel * kPanelFloats);
      }
    }
    for (int64_t row = first_row; row < end_row; row += kTileRows) {
      const int64_t rows = std::min(kTileRows, end_row - row);
      const ConstRows a{product.left.data + row * product.left.stride + k, product.left.stride};
      for (int64_t panel = 0; panel < panels; ++panel) {
        const int64_t column = (first_panel + panel) * kPanelColumns;
        const Rows to{product.to.data + row * product.to.stride + column, product.to.stride};
        ConstRows base{to.data, to.stride};
        if (k == 0) base = {product.bias == nullptr ? nullptr : product.bias + column, 0};
        MultiplyPanel(a, block(panel), depth, base, to, {rows, width(panel)});
      }
    }
  }
}

// Makes all products, which are of equal size; `product_of` describes the one of a number.
template <typename ProductOf>
void RunProducts(int64_t products, int64_t rows, int64_t columns, const ProductOf& product_of) {
  if (rows == 0 || columns == 0) return;
  const Tasks tasks(rows, columns, products);
  ParallelFor(0, products * tasks.count, /*grain_size=*/1, [&](int64_t begin, int64_t end) {
    std::unique_ptr<float[]> scratch;
    for (int64_t task = begin; task < end; ++task) {
      const Product product = product_of(task / tasks.count);
      if (product.right.packed == nullptr && scratch == nullptr) {
        scratch.reset(new float[static_cast<size_t>(kGroupPanels * kPanelFloats)]);
      }
      RunTask(product, tasks, task % tasks.count, scratch.get());
    }
  });
}

}  // namespace

bool SuitsLinearByRow(const torch::Tensor& x, const torch::Tensor& weight) {
  return !at::GradMode::is_enabled() && x.scalar_type() == at::kFloat && x.device().is_cpu() &&
         weight.scalar_type() == at::kFloat && weight.device().is_cpu();
}

torch::Tensor LinearByRow(const torch::Tensor& x, const torch::Tensor& weight, const torch::Tensor& bias) {
  const int64_t depth = weight.size(1);
  const int64_t columns = weight.size(0);
  TORCH_CHECK(x.size(-1) == depth, "expected ", depth, " features, got an input of ", x.sizes());
  const torch::Tensor left = x.contiguous();
  const torch::Tensor right = weight.contiguous();
  std::vector<int64_t> shape = x.sizes().vec();
  shape.back() = columns;
  torch::Tensor result = at::empty(shape, x.options().memory_format(at::MemoryFormat::Contiguous));
  const int64_t rows = depth == 0 ? 0 : left.numel() / depth;
  const Product product{.left = {left.const_data_ptr<float>(), depth},
                        .right = {.packed = nullptr, .rows = {right.const_data_ptr<float>(), depth}},
                        .bias = bias.defined() ? bias.const_data_ptr<float>() : nullptr,
                        .to = {result.mutable_data_ptr<float>(), columns},
                        .rows = rows,
                        .depth = depth,
                        .columns = columns};
  RunProducts(1, rows, columns, [&](int64_t) { return product; });
  return result;
}

torch::Tensor PackWeights(const torch::Tensor& weights) {
  const int64_t count = weights.size(0), columns = weights.size(1), depth = weights.size(2);
  const int64_t panels = Quotient(columns, kPanelColumns);
  const torch::Tensor from = weights.contiguous();
  torch::Tensor packed = at::empty({count, panels, depth, kPanelColumns}, from.options());
  const float* source = from.const_data_ptr<float>();
  float* target = packed.mutable_data_ptr<float>();
  ParallelFor(0, count * panels, /*grain_size=*/1, [&](int64_t begin, int64_t end) {
    for (int64_t i = begin; i < end; ++i) {
      const int64_t column = i % panels * kPanelColumns;
      PackTransposed({source + (i / panels * columns + column) * depth, depth},
                     std::min(kPanelColumns, columns - column), depth, target + i * depth * kPanelColumns);
    }
  });
  return packed;
}

void MultiplyPacked(const torch::Tensor& inputs, const torch::Tensor& packed, const torch::Tensor& products) {
  const int64_t rows = inputs.size(1), depth = inputs.size(2), columns = products.size(2);
  TORCH_CHECK(inputs.is_contiguous() && packed.is_contiguous() && products.is_contiguous() &&
                  packed.size(1) == Quotient(columns, kPanelColumns) && packed.size(2) == depth,
              "the matrices do not fit each other");
  const float* left = inputs.const_data_ptr<float>();
  const float* right = packed.const_data_ptr<float>();
  float* to = products.mutable_data_ptr<float>();
  RunProducts(inputs.size(0), rows, columns, [&](int64_t i) {
    return Product{.left = {left + i * rows * depth, depth},
                   .right = {.packed = right + i * packed.stride(0), .rows = {}},
                   .bias = nullptr,
                   .to = {to + i * rows * columns, columns},
                   .rows = rows,
                   .depth = depth,
                   .columns = columns};
  });
}

}  // namespace kandinsky
