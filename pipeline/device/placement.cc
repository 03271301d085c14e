#include "pipeline/device/placement.h"

#include <ATen/ATen.h>

#include "absl/status/status.h"
#include "absl/strings/str_cat.h"

namespace kandinsky {
namespace {

// A copy of host values on `device`.
template <typename Value>
torch::Tensor Copied(absl::Span<const Value> values, at::IntArrayRef shape, torch::ScalarType dtype,
                     torch::Device device) {
  const torch::Tensor host = at::from_blob(const_cast<Value*>(values.data()), shape, dtype);
  return device.is_cpu() ? host.clone() : host.to(device);
}

}  // namespace

std::string Placement::dtype_name() const {
  switch (dtype) {
    case torch::kBFloat16:
      return "bfloat16";
    case torch::kHalf:
      return "float16";
    default:
      return "float32";
  }
}

torch::Tensor Placement::Floats(absl::Span<const float> values, at::IntArrayRef shape) const {
  return Copied(values, shape, torch::kFloat, device);
}

torch::Tensor Placement::Zeros(at::IntArrayRef shape) const {
  return at::zeros(shape, at::TensorOptions(device).dtype(torch::kFloat));
}

torch::Tensor Placement::Ids(absl::Span<const int64_t> ids) const {
  return Copied(ids, {static_cast<int64_t>(ids.size())}, torch::kLong, device);
}

torch::Tensor Placement::Mask(absl::Span<const uint8_t> mask) const {
  return Copied(mask, {static_cast<int64_t>(mask.size())}, torch::kUInt8, device).to(torch::kBool);
}

torch::Tensor Placement::Noise(at::IntArrayRef shape, const at::Generator& generator) const {
  return OnDevice(at::randn(shape, generator, at::TensorOptions(torch::kFloat)));
}

absl::StatusOr<Placement> ParsePlacement(const std::string& device, const std::string& dtype) {
  if (device != "cpu") return absl::InvalidArgumentError(absl::StrCat("device must be cpu, not ", device));
  if (dtype != "float32")
    return absl::InvalidArgumentError(absl::StrCat("dtype must be float32, not ", dtype));
  return Placement();
}

FloatTensor ToFloatTensor(const torch::Tensor& row) {
  const torch::Tensor flat = row.to(torch::kCPU, torch::kFloat).squeeze(0).contiguous();
  const float* values = flat.data_ptr<float>();
  return {flat.sizes().vec(), {values, values + flat.numel()}};
}

}  // namespace kandinsky
