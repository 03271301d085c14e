#include "tests/clients/program_test.h"

#include <unistd.h>

#include <algorithm>
#include <filesystem>
#include <fstream>
#include <sstream>
#include <utility>

namespace kandinsky::client {

namespace fs = std::filesystem;

ProgramTest::ProgramTest() {
  std::string pattern = (fs::path(testing::TempDir()) / "program_XXXXXX").string();
  folder_ = ::mkdtemp(pattern.data());
}

ProgramTest::~ProgramTest() { fs::remove_all(folder_); }

void ProgramTest::Serve(Script script) { server_ = std::make_unique<ScriptedServer>(std::move(script)); }

std::string ProgramTest::File(const std::string& name, const std::string& content) const {
  std::ofstream(Path(name), std::ios::binary) << content;
  return Path(name);
}

std::string ProgramTest::Read(const std::string& name) const {
  std::stringstream text;
  text << std::ifstream(Path(name), std::ios::binary).rdbuf();
  return text.str();
}

std::unique_ptr<ChildProcess> ProgramTest::Start(std::vector<std::string> arguments,
                                                 const ChildOptions& options) const {
  arguments.insert(arguments.begin(), KANDINSKY_PROGRAM);
  if (server_ != nullptr) {
    // Before the words of a prompt that "--" may have begun.
    const auto words = std::find(arguments.begin(), arguments.end(), "--");
    arguments.insert(words, {"--server", server_->address()});
  }
  return std::make_unique<ChildProcess>(arguments, folder_, options);
}

std::string ProgramTest::UsageError(const std::vector<std::string>& arguments) const {
  const int calls = server_ == nullptr ? 0 : server_->calls();
  const auto program = Start(arguments);
  EXPECT_EQ(program->Wait(), kExitUsage) << testing::PrintToString(arguments);
  const bool json = std::find(arguments.begin(), arguments.end(), "--json") != arguments.end();
  EXPECT_EQ(program->Output().empty(), !json);
  const std::string error = program->ErrorOutput();
  EXPECT_EQ(std::count(error.begin(), error.end(), '\n'), 1) << error;
  if (server_ != nullptr) {
    EXPECT_EQ(server_->calls(), calls);
  }
  return error;
}

std::unique_ptr<ChildProcess> ProgramTest::Run(const std::vector<std::string>& arguments) const {
  std::unique_ptr<ChildProcess> program = Start(arguments);
  EXPECT_EQ(program->Wait(), 0) << program->ErrorOutput();
  return program;
}

v1::GenerateEvent ProgramTest::Progress() {
  v1::GenerateEvent event;
  event.mutable_progress()->set_stage(v1::STAGE_DENOISE);
  event.mutable_progress()->set_step(1);
  event.mutable_progress()->set_total_steps(2);
  return event;
}

v1::GenerateEvent ProgramTest::Preview(int image, int step, const std::string& data) {
  v1::GenerateEvent event;
  event.mutable_preview()->set_image_index(image);
  event.mutable_preview()->set_step(step);
  event.mutable_preview()->set_data(data);
  return event;
}

v1::GenerateEvent ProgramTest::Completed() {
  v1::GenerateEvent event;
  event.mutable_completed()->mutable_batch()->set_mean_rows(2.5);
  return event;
}

}  // namespace kandinsky::client
