#pragma once

#include <filesystem>
#include <string>

namespace kandinsky::training {

// A temporary folder to lay a dataset out in; goes away with the object.
class DatasetFolder {
 public:
  DatasetFolder();
  ~DatasetFolder();
  DatasetFolder(const DatasetFolder&) = delete;
  DatasetFolder& operator=(const DatasetFolder&) = delete;

  // Writes a file, and the folders above it, and returns its path.
  std::string Write(const std::string& name, const std::string& content) const;
  // A file with the name of an image, but no pixels: datasets are read without looking at these.
  std::string SomeImage(const std::string& name) const { return Write(name, "not looked at"); }
  std::string Path(const std::string& name) const { return path_ / name; }
  std::string path() const { return path_; }

 private:
  std::filesystem::path path_;
};

}  // namespace kandinsky::training
