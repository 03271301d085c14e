#include "tests/server/server_process.h"

#include <fcntl.h>
#include <grpcpp/create_channel.h>
#include <grpcpp/security/credentials.h>
#include <gtest/gtest.h>
#include <signal.h>
#include <spawn.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cstdlib>

extern char** environ;

namespace kandinsky::server {

ServerProcess::ServerProcess(const std::vector<std::string>& overrides, const char* program,
                             const std::string& shell) {
  std::vector<std::string> words = {"/bin/sh", "-c", shell, "sh", program};
  for (const char* text :
       {"listen_address=127.0.0.1:0", "metrics_address=", "model.path=x", "drain.lame_duck_seconds=0"}) {
    words.insert(words.end(), {"--set", text});
  }
  for (const std::string& text : overrides) words.insert(words.end(), {"--set", text});
  std::vector<char*> arguments;
  for (std::string& word : words) arguments.push_back(word.data());
  arguments.push_back(nullptr);
  int ends[2];
  EXPECT_EQ(pipe2(ends, O_CLOEXEC), 0);
  posix_spawn_file_actions_t actions;
  posix_spawn_file_actions_init(&actions);
  posix_spawn_file_actions_adddup2(&actions, ends[1], STDERR_FILENO);
  EXPECT_EQ(posix_spawn(&pid_, arguments.front(), &actions, nullptr, arguments.data(), environ), 0);
  posix_spawn_file_actions_destroy(&actions);
  close(ends[1]);
  errors_ = fdopen(ends[0], "r");
}

ServerProcess::~ServerProcess() {
  if (pid_ > 0) {
    kill(pid_, SIGKILL);
    waitpid(pid_, nullptr, 0);
  }
  CloseOutput();
}

void ServerProcess::Signal(int number) const { kill(pid_, number); }

std::string ServerProcess::WaitForLine(const std::string& text) {
  char* line = nullptr;
  size_t capacity = 0;
  std::string found;
  while (found.empty() && getline(&line, &capacity, errors_) > 0) {
    output_ += line;
    if (std::string(line).find(text) != std::string::npos) found = line;
  }
  std::free(line);
  return found;
}

int ServerProcess::WaitForExit() {
  WaitForLine("\a");  // never logged: reads to the end
  return WaitForExitUnread();
}

int ServerProcess::WaitForExitUnread() {
  int status = 0;
  waitpid(pid_, &status, 0);
  pid_ = 0;
  return WIFEXITED(status) ? WEXITSTATUS(status) : -1;
}

void ServerProcess::CloseOutput() {
  if (errors_ != nullptr) fclose(errors_);
  errors_ = nullptr;
}

int NumberIn(const std::string& line, const std::string& key) {
  const size_t place = line.find("\"" + key + "\":");
  return place == std::string::npos ? -1 : std::atoi(line.c_str() + place + key.size() + 3);
}

std::unique_ptr<v1::ImageGenerationService::Stub> StubOf(int port) {
  grpc::ChannelArguments own;
  own.SetInt(GRPC_ARG_USE_LOCAL_SUBCHANNEL_POOL, 1);  // a connection of its own
  return v1::ImageGenerationService::NewStub(grpc::CreateCustomChannel(
      "127.0.0.1:" + std::to_string(port), grpc::InsecureChannelCredentials(), own));
}

grpc::StatusCode CallOnce(v1::ImageGenerationService::Stub& stub) {
  v1::GenerateRequest request;
  request.set_prompt("a red cat");
  request.set_width(64);
  request.set_height(64);
  request.set_steps(1);
  grpc::ClientContext context;
  v1::GenerateImagesResponse response;
  return stub.GenerateImages(&context, request, &response).error_code();
}

}  // namespace kandinsky::server
