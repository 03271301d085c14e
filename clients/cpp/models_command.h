#pragma once

#include <string>

#include "clients/cpp/command_output.h"
#include "clients/cpp/command_set.h"
#include "clients/cpp/image_client.h"
#include "kandinsky/v1/model.pb.h"

namespace kandinsky::client {

// Adds `kandinsky models`.
void AddModelsCommand(CommandSet& commands);

// What `kandinsky models` was asked for.
struct ModelsCommand {
  std::string name = {};  // the model to look at; empty: all of them
  CallOptions call = {};
};

// Prints a table of the models, or everything about the one that was named, to `output.out`, errors to
// `output.err`, and returns the program's exit code: 0, kExitError, or kExitInterrupted.
int RunModels(const ModelsCommand& command, ImageClient& client, const CommandOutput& output);

// "loading", "ready", "not_ready", "draining"; "unknown" for any other.
std::string StateName(v1::ModelState state);

}  // namespace kandinsky::client
