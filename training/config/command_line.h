#pragma once

#include <optional>

#include "training/training_options.h"

namespace kandinsky::training {

// Exit codes of the training program; as the server's.
enum TrainingExitCode {
  kTrainingExitOk = 0,
  kTrainingExitFailure = 1,    // an error on the way, e.g. in the data or while writing or printing
  kTrainingExitUsage = 2,      // wrong command line or configuration
  kTrainingExitModelLoad = 4,  // the model could not be loaded
  kTrainingExitStopped = 5,    // by a signal, with a checkpoint to go on from
};

// What a command line asks for: to train by `options` (or, with `estimate`, to say what that would take), or
// to end with `exit_code`, everything having been printed.
struct TrainingCommandLine {
  std::optional<TrainingOptions> options;
  bool estimate = false;
  int exit_code = kTrainingExitOk;
};

// Flags: --config FILE, --set PATH=VALUE (repeatable, applied in order after the file), --check_config,
// --estimate, --version, --help. Prints help, version and the complete configuration that was checked to
// standard output, errors (one line) to standard error. Where the standard output does not take what is
// printed, that is one of them, with kTrainingExitFailure.
TrainingCommandLine ParseTrainingCommandLine(int argc, const char* const* argv);

}  // namespace kandinsky::training
