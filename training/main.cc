// kandinsky-train: trains the prior or the decoder of a Kandinsky 2.2 model. See docs/training.md.

#include <unistd.h>

#include <atomic>
#include <csignal>
#include <sstream>

#include "base/logging.h"
#include "base/standard_descriptors.h"
#include "training/config/command_line.h"
#include "training/run_training.h"
#include "training/training_estimate.h"

namespace {

// Set by SIGINT, SIGTERM and SIGHUP: the step that is running is the last, and a checkpoint is written. A
// second SIGINT or SIGTERM ends the process.
std::atomic<bool> stop = false;
static_assert(std::atomic<bool>::is_always_lock_free, "a signal handler may write to it");

void OnSignal(int signal) {
  stop = true;
  // A terminal that goes may send more than one SIGHUP.
  if (signal != SIGHUP) std::signal(signal, SIG_DFL);
}

void HandleSignals() {
  // None of these is worth the work since the last checkpoint. A closed pipe and a file at its limit are
  // errors of their writers.
  for (const int signal : {SIGPIPE, SIGXFSZ, SIGUSR1, SIGUSR2, SIGALRM}) std::signal(signal, SIG_IGN);
  for (const int signal : {SIGINT, SIGTERM}) std::signal(signal, OnSignal);
  if (std::signal(SIGHUP, OnSignal) == SIG_IGN) std::signal(SIGHUP, SIG_IGN);  // nohup
}

}  // namespace

int main(int argc, char** argv) {
  kandinsky::OpenStandardDescriptors();
  const kandinsky::training::TrainingCommandLine line =
      kandinsky::training::ParseTrainingCommandLine(argc, argv);
  if (!line.options.has_value()) return line.exit_code;
  kandinsky::ConfigureLogging(kandinsky::LogFormat::kText, kandinsky::LogLevel::kWarning);
  HandleSignals();
  std::ostream& out = kandinsky::LogStream();  // which nobody who stops reading it can block
  const auto fail = [&out](const absl::Status& status, int code) {
    out << "kandinsky-train: " << status.message() << std::endl;
    return code;
  };
  if (line.estimate) {
    std::ostringstream estimate;
    absl::Status status = kandinsky::training::PrintEstimate(*line.options, estimate);
    if (status.ok()) status = kandinsky::WriteStandardOutput(estimate.str());
    return status.ok() ? kandinsky::training::kTrainingExitOk
                       : fail(status, kandinsky::training::kTrainingExitFailure);
  }
  const auto files = kandinsky::training::OpenTrainingModel(*line.options);
  if (!files.ok()) return fail(files.status(), kandinsky::training::kTrainingExitModelLoad);
  const bool terminal = isatty(STDERR_FILENO) != 0;
  const absl::Status status = kandinsky::training::RunTraining(*line.options, *files, stop, out, terminal);
  if (status.ok()) return kandinsky::training::kTrainingExitOk;
  return fail(status, absl::IsCancelled(status) ? kandinsky::training::kTrainingExitStopped
                                                : kandinsky::training::kTrainingExitFailure);
}
