#pragma once

#include <sys/types.h>

#include <string>
#include <vector>

namespace kandinsky::client {

// What a program runs with, besides its arguments.
struct ChildOptions {
  std::string input = "/dev/null";            // file that it reads
  std::string output = {};                    // file that it writes; empty: "stdout" in its folder
  std::string error_output = {};              // likewise, "stderr"
  bool closed_output = false;                 // it has no standard output at all
  std::vector<std::string> environment = {};  // as "NAME=VALUE", instead of the variables that are called so
};

// A program that runs with its two outputs in files of a folder.
class ChildProcess {
 public:
  // Starts `arguments[0]`. `folder` must exist and outlive the process.
  ChildProcess(const std::vector<std::string>& arguments, const std::string& folder,
               const ChildOptions& options = {});

  // Kills it if it still runs.
  ~ChildProcess();

  ChildProcess(const ChildProcess&) = delete;
  ChildProcess& operator=(const ChildProcess&) = delete;

  void Signal(int signal) const;

  // Blocks until it ends; its exit code, or minus the signal that killed it.
  int Wait();

  // What it wrote; after Wait.
  std::string Output() const;
  std::string ErrorOutput() const;

 private:
  const std::string folder_;
  pid_t pid_ = -1;
};

}  // namespace kandinsky::client
