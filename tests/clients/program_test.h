#pragma once

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <memory>
#include <string>
#include <vector>

#include "clients/cpp/command_output.h"
#include "tests/clients/child_process.h"
#include "tests/clients/scripted_server.h"

namespace kandinsky::client {

// The program in a folder of its own, against a server that answers from a script.
class ProgramTest : public testing::Test {
 protected:
  ProgramTest();
  ~ProgramTest() override;

  void Serve(Script script);

  std::string Path(const std::string& name) const { return folder_ + "/" + name; }

  // Writes a file for the program to read; its path.
  std::string File(const std::string& name, const std::string& content) const;

  // The content of a file, empty when there is none.
  std::string Read(const std::string& name) const;

  // Starts it with these arguments and the server's address.
  std::unique_ptr<ChildProcess> Start(std::vector<std::string> arguments,
                                      const ChildOptions& options = {}) const;

  // Runs it to its end, which must be wrong usage before any call; what it wrote to the standard error.
  std::string UsageError(const std::vector<std::string>& arguments) const;

  // Runs it to its end, which must be a success.
  std::unique_ptr<ChildProcess> Run(const std::vector<std::string>& arguments) const;

  static v1::GenerateEvent Progress();
  static v1::GenerateEvent Preview(int image, int step, const std::string& data);
  static v1::GenerateEvent Completed();

  std::string folder_;
  std::unique_ptr<ScriptedServer> server_;
};

}  // namespace kandinsky::client
