// kandinsky-train: trains the prior or the decoder of a Kandinsky 2.2 model. See docs/training.md.

#include <unistd.h>

#include <atomic>
#include <csignal>
#include <iostream>

#include "base/logging.h"
#include "training/config/command_line.h"
#include "training/run_training.h"
#include "training/training_estimate.h"

namespace {

// Set by SIGINT and SIGTERM: the step that is running is the last, and a checkpoint is written. A second
// signal ends the process.
std::atomic<bool> stop = false;
static_assert(std::atomic<bool>::is_always_lock_free, "a signal handler may write to it");

void OnSignal(int signal) {
  stop = true;
  std::signal(signal, SIG_DFL);
}

}  // namespace

int main(int argc, char** argv) {
  const kandinsky::TrainingCommandLine line = kandinsky::ParseTrainingCommandLine(argc, argv);
  if (!line.options.has_value()) return line.exit_code;
  kandinsky::ConfigureLogging(kandinsky::LogFormat::kText, kandinsky::LogLevel::kWarning);
  std::signal(SIGXFSZ, SIG_IGN);  // a file that grows beyond its limit is an error of its writer, not the end
  std::signal(SIGINT, OnSignal);
  std::signal(SIGTERM, OnSignal);
  const auto fail = [](const absl::Status& status, int code) {
    std::cerr << "kandinsky-train: " << status.message() << "\n";
    return code;
  };
  if (line.estimate) {
    const absl::Status status = kandinsky::PrintEstimate(*line.options, std::cout);
    return status.ok() ? kandinsky::kTrainingExitOk : fail(status, kandinsky::kTrainingExitFailure);
  }
  const auto files = kandinsky::OpenTrainingModel(*line.options);
  if (!files.ok()) return fail(files.status(), kandinsky::kTrainingExitModelLoad);
  const bool terminal = isatty(STDERR_FILENO) != 0;
  const absl::Status status = kandinsky::RunTraining(*line.options, *files, stop, std::cerr, terminal);
  if (status.ok()) return kandinsky::kTrainingExitOk;
  return fail(status,
              absl::IsCancelled(status) ? kandinsky::kTrainingExitStopped : kandinsky::kTrainingExitFailure);
}
