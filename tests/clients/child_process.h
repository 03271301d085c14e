#pragma once

#include <sys/types.h>

#include <string>
#include <vector>

namespace kandinsky {

// A program that runs with its two outputs in files of a folder.
class ChildProcess {
 public:
  // Starts `arguments[0]`. `folder` must exist and outlive the process.
  ChildProcess(const std::vector<std::string>& arguments, const std::string& folder);

  // Kills it if it still runs.
  ~ChildProcess();

  ChildProcess(const ChildProcess&) = delete;
  ChildProcess& operator=(const ChildProcess&) = delete;

  void Signal(int signal) const;

  // Blocks until it ends; its exit code, or -1 when a signal killed it.
  int Wait();

  // What it wrote; after Wait.
  std::string Output() const;
  std::string ErrorOutput() const;

 private:
  const std::string folder_;
  pid_t pid_ = -1;
};

}  // namespace kandinsky
