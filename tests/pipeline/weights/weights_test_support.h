#pragma once

#include <cstdint>
#include <string>

namespace kandinsky {

// A temporary folder; removed with the object.
class TemporaryFolder {
 public:
  TemporaryFolder();
  ~TemporaryFolder();
  TemporaryFolder(const TemporaryFolder&) = delete;
  TemporaryFolder& operator=(const TemporaryFolder&) = delete;

  const std::string& path() const { return path_; }
  // Writes a file, making the folders in between, and returns its path.
  std::string Write(const std::string& name, const std::string& content) const;

 private:
  std::string path_;
};

// The bytes of a safetensors file: length of `header`, `header`, `data`.
std::string SafetensorsBytes(const std::string& header, const std::string& data = "");

// The same with a wrong length field.
std::string SafetensorsBytesWithLength(uint64_t length, const std::string& rest);

}  // namespace kandinsky
