#pragma once

#include <string>

#include "clients/cpp/command_output.h"
#include "clients/cpp/image_client.h"
#include "kandinsky/v1/image_generation.pb.h"

namespace kandinsky::client {

// What a command that makes images was asked for.
struct GenerateCommand {
  v1::GenerateRequest request;
  std::string output;     // file, see ImagePath for several images
  std::string preview;    // pattern of the files of previews, see PreviewPath; empty: none are written
  bool terminal = false;  // draws a bar on the error output instead of lines
  CallOptions call;
};

// Makes the images, writes their files, prints the result to `output.out` and progress and errors to
// `output.err`. Returns the program's exit code: 0, kExitError, or kExitInterrupted after
// command.call.cancellation was used. Each file is written when its image comes, so a request that fails
// later leaves the finished ones. With `validate_only` prints what the server says about the request instead.
int RunGenerate(const GenerateCommand& command, ImageClient& client, const CommandOutput& output);

}  // namespace kandinsky::client
