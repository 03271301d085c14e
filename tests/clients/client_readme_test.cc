#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <fstream>
#include <sstream>
#include <string>
#include <vector>

namespace kandinsky::client {
namespace {

using ::testing::HasSubstr;

std::string ReadText(const std::string& path) {
  std::stringstream text;
  text << std::ifstream(std::string(KANDINSKY_SOURCE_DIR) + "/" + path).rdbuf();
  return text.str();
}

// The C++ examples of the README.
std::vector<std::string> Examples() {
  const std::string readme = ReadText("clients/cpp/README.md");
  const std::string fence = "```cpp\n";
  std::vector<std::string> examples;
  for (size_t begin = readme.find(fence); begin != std::string::npos; begin = readme.find(fence, begin)) {
    begin += fence.size();
    examples.push_back(readme.substr(begin, readme.find("```", begin) - begin));
  }
  return examples;
}

TEST(ClientReadmeTest, ShowsOnlyCodeThatIsBuilt) {
  const std::vector<std::string> examples = Examples();
  ASSERT_FALSE(examples.empty());
  EXPECT_EQ(examples[0], ReadText("clients/cpp/example.cc"));
  const std::string tasks = ReadText("clients/cpp/example_tasks.cc");
  for (size_t i = 1; i < examples.size(); ++i) EXPECT_THAT(tasks, HasSubstr(examples[i]));
}

TEST(ClientReadmeTest, HasAnExampleOfEveryTaskAndCall) {
  std::string all;
  for (const std::string& example : Examples()) all += example;
  for (const char* name :
       {"set_prompt", "mutable_image_to_image", "mutable_inpaint", "mutable_mix", "mutable_control_net",
        "GenerateImageEmbedding", "EmbedText", "EmbedImages", "EncodeLatents", "DecodeLatents"}) {
    EXPECT_THAT(all, HasSubstr(name));
  }
}

}  // namespace
}  // namespace kandinsky::client
