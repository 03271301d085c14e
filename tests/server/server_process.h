#pragma once

#include <sys/types.h>

#include <cstdio>
#include <memory>
#include <string>
#include <vector>

#include "kandinsky/v1/image_generation.grpc.pb.h"

namespace kandinsky::server {

// A running server, fake_server or the real one, whose standard error is read line by line.
class ServerProcess {
 public:
  // `overrides` of a configuration with a free port, a model and no metrics. `shell` runs the program, as
  // "$@": with other limits, descriptors or environment.
  explicit ServerProcess(const std::vector<std::string>& overrides, const char* program = FAKE_SERVER,
                         const std::string& shell = "exec \"$@\"");
  ~ServerProcess();

  ServerProcess(const ServerProcess&) = delete;
  ServerProcess& operator=(const ServerProcess&) = delete;

  void Signal(int number) const;

  // Blocks until a line with `text` comes; that line, or "" at the end of the output.
  std::string WaitForLine(const std::string& text);

  // Blocks until the process has ended; its exit code, or -1 when a signal ended it.
  int WaitForExit();
  // The same without reading what it still writes.
  int WaitForExitUnread();

  // Nobody will read any more.
  void CloseOutput();

  const std::string& output() const { return output_; }
  pid_t pid() const { return pid_; }
  FILE* file() const { return errors_; }

 private:
  pid_t pid_ = 0;
  FILE* errors_ = nullptr;
  std::string output_;
};

// The number after `"key":` in a JSON log line.
int NumberIn(const std::string& line, const std::string& key);

// A stub for a server on this machine.
std::unique_ptr<v1::ImageGenerationService::Stub> StubOf(int port);

// The code of a call for one small image.
grpc::StatusCode CallOnce(v1::ImageGenerationService::Stub& stub);

}  // namespace kandinsky::server
