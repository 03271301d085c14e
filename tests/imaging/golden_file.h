#pragma once

#include <cstdint>
#include <map>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "imaging/image.h"

namespace kandinsky {

// The recorded tensors of one safetensors file below tests/golden, and the JSON that describes its cases.
// Tests that ask for what is not there fail.
class GoldenFile {
 public:
  // `name`: without extension, e.g. "resize/resize".
  explicit GoldenFile(const std::string& name);

  bool Has(const std::string& tensor) const { return tensors_.contains(tensor); }
  // A U8 tensor [height, width] or [height, width, channels].
  Image ReadImage(const std::string& tensor) const;
  // The bytes of a U8 tensor [n].
  std::string Bytes(const std::string& tensor) const;

 private:
  struct Tensor {
    bool is_float;
    std::vector<int64_t> shape;
    std::string data;
  };

  const Tensor& Find(const std::string& name, bool is_float) const;

  std::map<std::string, Tensor> tensors_;
};

// The array "cases" of a JSON file below tests/golden.
nlohmann::json GoldenCases(const std::string& name);

// The largest difference between two images' values; 1000 when their shapes differ.
int LargestDifference(const Image& a, const Image& b);

}  // namespace kandinsky
