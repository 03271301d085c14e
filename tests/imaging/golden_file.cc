#include "tests/imaging/golden_file.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <fstream>

#include "base/mapped_file.h"
#include "pipeline/weights/safetensors_header.h"

namespace kandinsky {
namespace {

constexpr char kFolder[] = KANDINSKY_SOURCE_DIR "/tests/golden/";
constexpr size_t kMaxBytes = size_t{16} << 20;

}  // namespace

GoldenFile::GoldenFile(const std::string& name) {
  const auto content = ReadFile(kFolder + name + ".safetensors", kMaxBytes);
  EXPECT_TRUE(content.ok()) << content.status();
  if (!content.ok()) return;
  const auto header =
      ParseSafetensorsHeader({reinterpret_cast<const std::byte*>(content->data()), content->size()}, name);
  EXPECT_TRUE(header.ok()) << header.status();
  if (!header.ok()) return;
  for (const SafetensorsEntry& entry : header->entries) {
    tensors_[entry.name] = {entry.dtype == SafetensorsDtype::kF32, entry.shape,
                            content->substr(header->data_offset + entry.begin, entry.end - entry.begin)};
  }
}

const GoldenFile::Tensor& GoldenFile::Find(const std::string& name, bool is_float) const {
  static const Tensor* const missing = new Tensor{};
  const auto found = tensors_.find(name);
  if (found == tensors_.end() || found->second.is_float != is_float) {
    ADD_FAILURE() << "no recorded tensor " << name;
    return *missing;
  }
  return found->second;
}

Image GoldenFile::ReadImage(const std::string& tensor) const {
  const Tensor& found = Find(tensor, /*is_float=*/false);
  Image image;
  if (found.shape.size() < 2) return image;
  image.height = static_cast<int>(found.shape[0]);
  image.width = static_cast<int>(found.shape[1]);
  image.channels = found.shape.size() == 2 ? 1 : static_cast<int>(found.shape[2]);
  image.pixels.assign(found.data.begin(), found.data.end());
  return image;
}

std::string GoldenFile::Bytes(const std::string& tensor) const { return Find(tensor, false).data; }

nlohmann::json GoldenCases(const std::string& name) {
  std::ifstream file(kFolder + name + ".json");
  const nlohmann::json json = nlohmann::json::parse(file, nullptr, /*allow_exceptions=*/false);
  EXPECT_TRUE(json.is_object() && json.contains("cases")) << name;
  return json.is_object() && json.contains("cases") ? json["cases"] : nlohmann::json::array();
}

int LargestDifference(const Image& a, const Image& b) {
  if (a.width != b.width || a.height != b.height || a.channels != b.channels ||
      a.pixels.size() != b.pixels.size()) {
    return 1000;
  }
  int largest = 0;
  for (size_t i = 0; i < a.pixels.size(); ++i)
    largest = std::max(largest, std::abs(a.pixels[i] - b.pixels[i]));
  return largest;
}

}  // namespace kandinsky
