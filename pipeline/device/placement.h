#pragma once

#include <ATen/core/Generator.h>
#include <torch/types.h>

#include <cstdint>
#include <string>

#include "absl/status/statusor.h"
#include "absl/types/span.h"
#include "pipeline/float_tensor.h"

namespace kandinsky {

// Where the tensors of a loaded model lie and in which type its networks compute. Everything that comes from
// the host becomes a tensor here, and everything that goes back passes here. A plain value; thread-safe.
struct Placement {
  torch::Device device = torch::kCPU;
  torch::ScalarType dtype = torch::kFloat;  // of weights and activations; latents and samplers are float32

  // "cpu", "cuda:0".
  std::string device_name() const { return device.str(); }
  // "float32", "bfloat16", "float16".
  std::string dtype_name() const;

  // Float32 on the device, a copy.
  torch::Tensor Floats(absl::Span<const float> values, at::IntArrayRef shape) const;
  torch::Tensor Floats(const FloatTensor& tensor) const { return Floats(tensor.values, tensor.shape); }
  torch::Tensor Zeros(at::IntArrayRef shape) const;
  // Int64 ids of tokens [count], and a mask, not 0 where true, as bool [count].
  torch::Tensor Ids(absl::Span<const int64_t> ids) const;
  torch::Tensor Mask(absl::Span<const uint8_t> mask) const;

  // Moves a tensor that was made on the host, e.g. an image.
  torch::Tensor OnDevice(const torch::Tensor& host) const { return host.to(device); }
  // The same in the type of the networks, as they take it.
  torch::Tensor ForNetwork(const torch::Tensor& values) const { return values.to(device, dtype); }

  // Standard normal float32 numbers. `generator` is a CPU one, as in diffusers with a CPU generator, so that
  // a seed gives the same numbers on every device.
  torch::Tensor Noise(at::IntArrayRef shape, const at::Generator& generator) const;
};

// Reads "cpu" and "float32". INVALID_ARGUMENT, naming what there is, for other devices and types: the kernels
// of this build know no other.
absl::StatusOr<Placement> ParsePlacement(const std::string& device, const std::string& dtype);

// A copy in host memory as float32, without the leading dimension of one row.
FloatTensor ToFloatTensor(const torch::Tensor& row);

}  // namespace kandinsky
