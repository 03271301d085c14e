#include "tests/training/dataset/dataset_folder.h"

#include <gtest/gtest.h>
#include <stdlib.h>

#include <fstream>

namespace kandinsky::training {

DatasetFolder::DatasetFolder() {
  std::string path = std::filesystem::temp_directory_path() / "dataset_XXXXXX";
  EXPECT_NE(::mkdtemp(path.data()), nullptr);
  path_ = path;
}

DatasetFolder::~DatasetFolder() { std::filesystem::remove_all(path_); }

std::string DatasetFolder::Write(const std::string& name, const std::string& content) const {
  std::filesystem::create_directories((path_ / name).parent_path());
  std::ofstream(path_ / name, std::ios::binary) << content;
  return path_ / name;
}

}  // namespace kandinsky::training
