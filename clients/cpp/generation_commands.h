#pragma once

#include <string>

#include "clients/cpp/command_output.h"
#include "clients/cpp/command_set.h"
#include "clients/cpp/image_client.h"
#include "kandinsky/v1/image_generation.pb.h"

namespace kandinsky::client {

// Adds the commands about requests that are live or kept: get, list and cancel.
void AddGenerationCommands(CommandSet& commands);

// What they do. Each prints its result to `output.out`, errors to
// `output.err`, and returns the program's exit code: 0, kExitError, or kExitInterrupted.

// What `kandinsky get` was asked for.
struct GetCommand {
  std::string id;
  std::string output = {};  // where its finished images go, see ImagePath; empty: they are not asked for
  CallOptions call = {};
};

// Prints where a request stands. With `command.output`, a request that has not succeeded is an error, after
// its finished images were written.
int RunGet(const GetCommand& command, ImageClient& client, const CommandOutput& output);

// What `kandinsky list` was asked for.
struct ListCommand {
  std::string of_client = {};  // for the operator: only this client's; empty: of all
  v1::GenerationState state = v1::GENERATION_STATE_UNSPECIFIED;  // only those in this state; unspecified: all
  int limit = 100;                                               // most requests to print
  CallOptions call = {};
};

// Prints a table of the requests, the oldest first.
int RunList(const ListCommand& command, ImageClient& client, const CommandOutput& output);

// Ends a request.
int RunCancel(const std::string& id, const CallOptions& call, ImageClient& client,
              const CommandOutput& output);

// "queued", "running", "succeeded", "failed", "cancelled"; "unknown" for any other.
std::string StateName(v1::GenerationState state);

}  // namespace kandinsky::client
