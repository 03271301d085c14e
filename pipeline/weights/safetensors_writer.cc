#include <ATen/ATen.h>

#include <memory>
#include <nlohmann/json.hpp>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "base/mapped_file.h"
#include "base/status_macros.h"
#include "pipeline/weights/safetensors.h"

namespace kandinsky {
namespace {

using nlohmann::ordered_json;
using NamedTensor = std::pair<std::string, torch::Tensor>;

constexpr size_t kAlignment = 8;  // of the data, as the reference implementation pads it

// Empty for a dtype that the format lacks.
absl::string_view DtypeName(torch::ScalarType dtype) {
  switch (dtype) {
    case torch::kDouble:
      return SafetensorsDtypeName(SafetensorsDtype::kF64);
    case torch::kFloat:
      return SafetensorsDtypeName(SafetensorsDtype::kF32);
    case torch::kHalf:
      return SafetensorsDtypeName(SafetensorsDtype::kF16);
    case torch::kBFloat16:
      return SafetensorsDtypeName(SafetensorsDtype::kBF16);
    case torch::kLong:
      return SafetensorsDtypeName(SafetensorsDtype::kI64);
    case torch::kInt:
      return SafetensorsDtypeName(SafetensorsDtype::kI32);
    case torch::kShort:
      return SafetensorsDtypeName(SafetensorsDtype::kI16);
    case torch::kChar:
      return SafetensorsDtypeName(SafetensorsDtype::kI8);
    case torch::kByte:
      return SafetensorsDtypeName(SafetensorsDtype::kU8);
    case torch::kBool:
      return SafetensorsDtypeName(SafetensorsDtype::kBool);
    default:
      return "";
  }
}

absl::Status CheckTensor(const NamedTensor& tensor, std::set<std::string>& names, const std::string& path) {
  const auto refuse = [&](absl::string_view what) {
    return absl::InvalidArgumentError(absl::StrCat(path, ": tensor \"", tensor.first, "\" ", what));
  };
  if (tensor.first == "__metadata__") return refuse("has a reserved name");
  if (!names.insert(tensor.first).second) return refuse("is given twice");
  if (!tensor.second.defined()) return refuse("is undefined");
  if (DtypeName(tensor.second.scalar_type()).empty()) return refuse("has a dtype that the format lacks");
  return absl::OkStatus();
}

std::string HeaderText(const std::vector<NamedTensor>& tensors,
                       const std::map<std::string, std::string>& metadata) {
  ordered_json header = ordered_json::object();
  if (!metadata.empty()) header["__metadata__"] = metadata;
  size_t offset = 0;
  for (const auto& [name, tensor] : tensors) {
    const size_t end = offset + tensor.nbytes();
    const absl::string_view dtype = DtypeName(tensor.scalar_type());
    header[name] = ordered_json{
        {"dtype", std::string(dtype)}, {"shape", tensor.sizes().vec()}, {"data_offsets", {offset, end}}};
    offset = end;
  }
  std::string text = header.dump();
  text.resize((text.size() + kAlignment - 1) / kAlignment * kAlignment, ' ');
  return text;
}

// Length and text of the header.
std::string Preamble(const std::vector<NamedTensor>& tensors,
                     const std::map<std::string, std::string>& metadata) {
  const std::string header = HeaderText(tensors, metadata);
  std::string preamble;
  for (int shift = 0; shift < 64; shift += 8) {
    preamble.push_back(static_cast<char>(uint64_t{header.size()} >> shift));
  }
  return preamble + header;
}

// One tensor after the other, so that no second copy of all of them is ever in memory.
absl::Status WriteTensors(const std::string& path, const std::vector<NamedTensor>& tensors,
                          const std::map<std::string, std::string>& metadata) {
  ASSIGN_OR_RETURN(const std::unique_ptr<AtomicFile> file, AtomicFile::Create(path));
  RETURN_IF_ERROR(file->Append(Preamble(tensors, metadata)));
  for (const auto& [name, tensor] : tensors) {
    const torch::Tensor plain = tensor.detach().to(torch::kCPU).contiguous();
    RETURN_IF_ERROR(file->Append({static_cast<const char*>(plain.const_data_ptr()), plain.nbytes()}));
  }
  return file->Commit();
}

}  // namespace

absl::Status WriteSafetensors(const std::string& path, const std::vector<NamedTensor>& tensors,
                              const std::map<std::string, std::string>& metadata) {
  std::set<std::string> names;
  for (const NamedTensor& tensor : tensors) RETURN_IF_ERROR(CheckTensor(tensor, names, path));
  try {
    return WriteTensors(path, tensors, metadata);
  } catch (const nlohmann::json::exception&) {
    return absl::InvalidArgumentError(absl::StrCat(path, ": a name or metadata value is not UTF-8"));
  } catch (const std::exception& error) {
    return absl::InternalError(absl::StrCat(path, ": cannot be written: ", error.what()));
  }
}

}  // namespace kandinsky
