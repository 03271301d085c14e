#include "clients/cpp/npy.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>
#include <sstream>
#include <string>
#include <vector>

#include "tests/clients/float_tensors.h"

namespace kandinsky::client {
namespace {

using ::testing::HasSubstr;
using ::testing::StartsWith;

// A file of format 1.0 with this header and `data_bytes` of data.
std::string File(const std::string& header, size_t data_bytes) {
  std::string content("\x93NUMPY\x01\x00", 8);
  content += static_cast<char>(header.size() & 0xff);
  content += static_cast<char>(header.size() >> 8);
  return content + header + std::string(data_bytes, '\0');
}

std::string ErrorOf(const std::string& content) {
  const absl::StatusOr<v1::FloatTensor> tensor = ParseNpy(content);
  EXPECT_TRUE(absl::IsInvalidArgument(tensor.status())) << tensor.status();
  return std::string(tensor.status().message());
}

TEST(NpyTest, WhatIsWrittenIsReadBack) {
  for (const std::vector<int>& shape :
       {std::vector<int>{}, {1}, {7}, {4, 8, 8}, {3, 2, 5}, {0, 4}, {1, 1, 1, 1, 1}}) {
    const absl::StatusOr<std::string> content = ToNpy(Tensor(shape));
    ASSERT_TRUE(content.ok()) << content.status();
    EXPECT_TRUE(IsNpy(*content));
    const absl::StatusOr<v1::FloatTensor> tensor = ParseNpy(*content);
    ASSERT_TRUE(tensor.ok()) << tensor.status();
    EXPECT_EQ(tensor->SerializeAsString(), Tensor(shape).SerializeAsString());
  }
}

TEST(NpyTest, IsByteForByteWhatNumPyWrites) {
  // numpy.save of numpy.arange(6, dtype="<f4").reshape(2, 3).
  std::string header = "{'descr': '<f4', 'fortran_order': False, 'shape': (2, 3), }";
  header.append(118 - header.size() - 1, ' ');
  header += '\n';
  v1::FloatTensor tensor;
  tensor.add_shape(2);
  tensor.add_shape(3);
  for (const float value : {0.f, 1.f, 2.f, 3.f, 4.f, 5.f}) {
    tensor.mutable_data()->append(reinterpret_cast<const char*>(&value), sizeof value);
  }
  EXPECT_EQ(*ToNpy(tensor), File(header, 0) + tensor.data());
}

TEST(NpyTest, DataBeginsAtAMultipleOf64) {
  for (int i = 0; i < 40; ++i) {
    std::vector<int> shape = {1000, 0};
    shape.insert(shape.end(), static_cast<size_t>(i % 20), i < 20 ? 1 : 10);
    EXPECT_EQ(ToNpy(Tensor(shape))->size() % 64, 0u);
  }
}

TEST(NpyTest, OneDimensionIsAPythonTuple) {
  EXPECT_THAT(*ToNpy(Tensor({7})), HasSubstr("'shape': (7,), }"));
  EXPECT_THAT(*ToNpy(Tensor({})), HasSubstr("'shape': (), }"));
}

TEST(NpyTest, ATensorOfAnotherSizeThanItsShapeIsNotWritten) {
  v1::FloatTensor tensor = Tensor({2, 3});
  tensor.mutable_data()->pop_back();
  EXPECT_TRUE(absl::IsInvalidArgument(ToNpy(tensor).status()));
  tensor.set_shape(0, -2);
  EXPECT_TRUE(absl::IsInvalidArgument(ToNpy(tensor).status()));
  tensor.set_shape(0, 1 << 30);
  tensor.set_shape(1, 1 << 30);
  EXPECT_TRUE(absl::IsInvalidArgument(ToNpy(tensor).status()));
}

TEST(NpyTest, ReadsOtherOrdersSpacesAndVersions) {
  const std::string header = "{ 'shape':(2,3) ,'fortran_order' : False,'descr':'<f4'}\n";
  EXPECT_TRUE(ParseNpy(File(header, 24)).ok());
  std::string content = File(header, 24);
  content[6] = 2;
  content.insert(10, 2, '\0');
  EXPECT_TRUE(ParseNpy(content).ok());
  content[6] = 4;
  EXPECT_THAT(ErrorOf(content), HasSubstr("version"));
}

std::string Golden(const std::string& name) {
  std::stringstream content;
  content << std::ifstream(std::string(KANDINSKY_SOURCE_DIR) + "/tests/golden/npy/" + name, std::ios::binary)
                 .rdbuf();
  return content.str();
}

TEST(NpyTest, ReadsEveryTypeAndOrderOfFloatsAsNumPyDoes) {
  int files = 0;
  for (const auto& entry :
       std::filesystem::directory_iterator(std::string(KANDINSKY_SOURCE_DIR) + "/tests/golden/npy")) {
    if (entry.path().extension() != ".npy") continue;
    ++files;
    const absl::StatusOr<v1::FloatTensor> tensor = ParseNpy(Golden(entry.path().filename().string()));
    ASSERT_TRUE(tensor.ok()) << entry.path() << ": " << tensor.status();
    EXPECT_EQ(tensor->data(), Golden(entry.path().stem().string() + ".expected")) << entry.path();
  }
  EXPECT_EQ(files, 14);
  EXPECT_THAT(ParseNpy(Golden("latents_big_f8_f.npy"))->shape(), testing::ElementsAre(4, 2, 3));
}

TEST(NpyTest, NamesWhatItDoesNotRead) {
  const auto of_type = [](const std::string& type, size_t bytes) {
    return ErrorOf(File("{'descr': " + type + ", 'fortran_order': False, 'shape': (1,), }", bytes));
  };
  for (const char* type : {"'|u1'", "'<i4'", "'<f16'", "'<c8'", "'|f4'", "'<U4'", "''"}) {
    EXPECT_THAT(of_type(type, 4), HasSubstr("its values are of type " +
                                            std::string(type).substr(1, std::string(type).size() - 2) +
                                            ", expected f4 (float32), f2 or f8"));
  }
  EXPECT_THAT(of_type("[('a', '<f4')]", 4), HasSubstr("of type record, expected f4"));
  const double large[1] = {1e39};
  const std::string header = "{'descr': '<f8', 'fortran_order': False, 'shape': (1,), }";
  EXPECT_THAT(ErrorOf(File(header, 0) + std::string(reinterpret_cast<const char*>(large), 8)),
              HasSubstr("value 0 is 1e+39, more than float32 can hold"));
  EXPECT_THAT(ErrorOf("\x89PNG\r\n"), StartsWith("no .npy file of floats: it begins otherwise"));
  EXPECT_THAT(ErrorOf("PK\x03\x04"), HasSubstr("it is a zip archive, as .npz and .pt files are"));
  EXPECT_THAT(ErrorOf("[[1, 2]]"), HasSubstr("it looks like JSON"));
}

TEST(NpyTest, DataThatIsNotWhatTheShapeSaysIsRefused) {
  const std::string header = "{'descr': '<f4', 'fortran_order': False, 'shape': (2, 3), }";
  for (const size_t bytes : {0, 23, 25, 48})
    EXPECT_THAT(ErrorOf(File(header, bytes)), HasSubstr("which is not what its shape [2, 3] says"));
  for (const char* shape : {"(4294967296,)", "(2147483647, 2147483647, 2147483647, 4)"}) {
    ErrorOf(File(std::string("{'descr': '<f4', 'fortran_order': False, 'shape': ") + shape + ", }", 4));
  }
}

TEST(NpyTest, MalformedHeadersAreRefused) {
  for (const char* header : {"", "{", "{}", "{'descr': '<f4', 'fortran_order': False}",
                             "{'descr': '<f4', 'shape': (2,), }", "{'fortran_order': False, 'shape': (2,), }",
                             "{'descr': '<f4', 'fortran_order': False, 'shape': (-2,), }",
                             "{'descr': '<f4', 'fortran_order': False, 'shape': (2,",
                             "{'descr': '<f4', 'fortran_order': False, 'shape': 2}",
                             "{'descr': '<f4', 'fortran_order': 0, 'shape': (2,), }",
                             "{'descr': '<f4', 'fortran_order': False, 'shape': (2,), 'x': 1}",
                             "{'descr': '<f4', 'fortran_order': False, 'shape': (1,), 'shape': (2,), }",
                             "{'descr': '<f4', 'fortran_order': False, 'shape': (2,), } x",
                             "{'descr': '<f4' 'fortran_order': False, 'shape': (2,), }"}) {
    EXPECT_FALSE(ParseNpy(File(header, 8)).ok()) << header;
  }
}

TEST(NpyTest, EveryCutOfAFileIsRefused) {
  const std::string content = *ToNpy(Tensor({2, 3}));
  for (size_t length = 0; length < content.size(); ++length) {
    EXPECT_FALSE(ParseNpy(content.substr(0, length)).ok()) << length;
  }
  EXPECT_FALSE(ParseNpy(content + "x").ok());
}

}  // namespace
}  // namespace kandinsky::client
