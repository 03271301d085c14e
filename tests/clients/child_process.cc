#include "tests/clients/child_process.h"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <spawn.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <csignal>
#include <fstream>
#include <sstream>

namespace kandinsky::client {
namespace {

std::string ReadText(const std::string& path) {
  std::stringstream text;
  text << std::ifstream(path).rdbuf();
  return text.str();
}

std::vector<char*> Pointers(const std::vector<std::string>& texts) {
  std::vector<char*> pointers;
  for (const std::string& text : texts) pointers.push_back(const_cast<char*>(text.c_str()));
  pointers.push_back(nullptr);
  return pointers;
}

}  // namespace

ChildProcess::ChildProcess(const std::vector<std::string>& arguments, const std::string& folder,
                           const ChildOptions& options)
    : folder_(folder) {
  std::vector<std::string> environment = options.environment;
  for (char** variable = environ; *variable != nullptr; ++variable) {
    const std::string text = *variable;
    const std::string name = text.substr(0, text.find('=') + 1);
    const bool replaced = std::any_of(options.environment.begin(), options.environment.end(),
                                      [&](const std::string& own) { return own.rfind(name, 0) == 0; });
    if (!replaced) environment.push_back(text);
  }
  posix_spawn_file_actions_t files;
  posix_spawn_file_actions_init(&files);
  const auto open = [&](int descriptor, const std::string& path, int flags) {
    posix_spawn_file_actions_addopen(&files, descriptor, path.c_str(), flags, 0600);
  };
  const int write = O_WRONLY | O_CREAT | O_TRUNC;
  open(STDIN_FILENO, options.input, O_RDONLY);
  open(STDOUT_FILENO, options.output.empty() ? folder_ + "/stdout" : options.output, write);
  open(STDERR_FILENO, options.error_output.empty() ? folder_ + "/stderr" : options.error_output,
       write | O_NOCTTY);
  if (options.closed_output) posix_spawn_file_actions_addclose(&files, STDOUT_FILENO);
  EXPECT_EQ(posix_spawn(&pid_, arguments[0].c_str(), &files, nullptr, Pointers(arguments).data(),
                        Pointers(environment).data()),
            0);
  posix_spawn_file_actions_destroy(&files);
}

ChildProcess::~ChildProcess() {
  if (pid_ <= 0) return;
  ::kill(pid_, SIGKILL);
  ::waitpid(pid_, nullptr, 0);
}

void ChildProcess::Signal(int signal) const { ::kill(pid_, signal); }

int ChildProcess::Wait() {
  int status = 0;
  EXPECT_EQ(::waitpid(pid_, &status, 0), pid_);
  pid_ = -1;
  return WIFEXITED(status) ? WEXITSTATUS(status) : -WTERMSIG(status);
}

std::string ChildProcess::Output() const { return ReadText(folder_ + "/stdout"); }

std::string ChildProcess::ErrorOutput() const { return ReadText(folder_ + "/stderr"); }

}  // namespace kandinsky::client
