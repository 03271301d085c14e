#pragma once

#include <ostream>
#include <string>

#include "clients/cpp/image_client.h"
#include "kandinsky/v1/image_generation.pb.h"

namespace kandinsky {

// What `kandinsky generate` was asked for.
struct GenerateCommand {
  v1::GenerateRequest request;
  // PNG file; with several images the index goes before the extension: cat.png -> cat-0.png, cat-1.png, ...
  std::string output;
  // Result and errors as one JSON object on standard output.
  bool json = false;
  // Draws a bar on `err` instead of lines.
  bool terminal = false;
  CallOptions call;
};

// The file of image `index` of `count`.
std::string ImagePath(const std::string& output, int index, int count);

// Exit codes of the program.
constexpr int kExitError = 1;
constexpr int kExitUsage = 2;
constexpr int kExitInterrupted = 130;

// Makes the images, writes their files, prints the result to `out` and progress and errors to `err`. Returns
// the program's exit code: 0, kExitError, or kExitInterrupted after command.call.cancellation was used. Each
// file is written when its image comes, so a request that fails later leaves the finished ones.
int RunGenerate(const GenerateCommand& command, ImageClient& client, std::ostream& out, std::ostream& err);

}  // namespace kandinsky
