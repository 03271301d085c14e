// The command-line client.

#include <pthread.h>
#include <unistd.h>

#include <csignal>
#include <exception>
#include <iostream>
#include <memory>
#include <optional>
#include <sstream>
#include <thread>

#include "clients/cpp/command_set.h"
#include "clients/cpp/embed_commands.h"
#include "clients/cpp/generation_commands.h"
#include "clients/cpp/image_commands.h"
#include "clients/cpp/latents_commands.h"
#include "clients/cpp/models_command.h"
#include "clients/cpp/standard_streams.h"

namespace kandinsky::client {
namespace {

// Cancels the call at the first SIGINT or SIGTERM and ends the program at the second; before a call, as when
// it waits for its standard input, at the first. Must run before any other thread starts, which then inherit
// the blocked signals.
void CancelOnSignals(const std::shared_ptr<Cancellation>& cancellation) {
  sigset_t signals;
  sigemptyset(&signals);
  sigaddset(&signals, SIGINT);
  sigaddset(&signals, SIGTERM);
  pthread_sigmask(SIG_BLOCK, &signals, nullptr);
  std::thread([signals, cancellation] {
    int signal = 0;
    sigwait(&signals, &signal);
    cancellation->Cancel();
    if (cancellation->called()) sigwait(&signals, &signal);
    if (CanRedrawLines()) WriteAll(STDERR_FILENO, "\n");  // the bar may stand there
    _exit(kExitInterrupted);
  }).detach();
}

// Runs the command; what it prints goes to `out`.
int RunCommand(int argc, char** argv, std::ostream& out) {
  CommandSet commands;
  AddImageCommands(commands);
  AddEmbedCommands(commands);
  AddLatentsCommands(commands);
  AddGenerationCommands(commands);
  AddModelsCommand(commands);
  CommandOutput output = {.out = out, .err = std::cerr};
  if (const std::optional<int> code = commands.Parse(argc, argv, output)) return *code;
  const CallFlags& flags = commands.flags();
  output.json = flags.json;
  output.server = flags.server;
  const auto cancellation = std::make_shared<Cancellation>();
  CancelOnSignals(cancellation);
  CallOptions call = {.cancellation = cancellation.get(), .client_id = flags.client_id};
  if (flags.timeout_seconds) call.timeout = absl::Seconds(*flags.timeout_seconds);
  ImageClient client = ImageClient::Connect(flags.server);
  return commands.RunParsed(client, call, output);
}

int Main(int argc, char** argv) {
  PrepareStandardStreams();
  std::ostringstream out;
  const int code = RunCommand(argc, argv, out);
  const absl::Status printed = WriteStandardOutput(out.str());
  if (printed.ok()) return code;
  PrintError(printed, {.out = out, .err = std::cerr});
  return code == 0 ? kExitError : code;
}

}  // namespace
}  // namespace kandinsky::client

int main(int argc, char** argv) {
  try {
    return kandinsky::client::Main(argc, argv);
  } catch (const std::exception& exception) {
    std::cerr << "kandinsky: " << exception.what() << std::endl;
    return kandinsky::client::kExitError;
  }
}
