#include "tests/pipeline/weights/weights_test_support.h"

#include <gtest/gtest.h>
#include <stdlib.h>

#include <filesystem>
#include <fstream>

namespace kandinsky {

TemporaryFolder::TemporaryFolder() : path_(std::filesystem::temp_directory_path() / "weights_XXXXXX") {
  EXPECT_NE(::mkdtemp(path_.data()), nullptr);
}

TemporaryFolder::~TemporaryFolder() { std::filesystem::remove_all(path_); }

std::string TemporaryFolder::Write(const std::string& name, const std::string& content) const {
  const std::filesystem::path path = std::filesystem::path(path_) / name;
  std::filesystem::create_directories(path.parent_path());
  std::ofstream(path, std::ios::binary) << content;
  return path;
}

std::string SafetensorsBytes(const std::string& header, const std::string& data) {
  return SafetensorsBytesWithLength(header.size(), header + data);
}

std::string SafetensorsBytesWithLength(uint64_t length, const std::string& rest) {
  std::string bytes;
  for (int shift = 0; shift < 64; shift += 8) bytes.push_back(static_cast<char>(length >> shift));
  return bytes + rest;
}

}  // namespace kandinsky
