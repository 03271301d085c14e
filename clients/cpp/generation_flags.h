#pragma once

#include <CLI/CLI.hpp>
#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "clients/cpp/command_set.h"
#include "clients/cpp/generate_command.h"
#include "clients/cpp/prior_flags.h"

namespace kandinsky::client {

// The flags of a file with a result.
struct OutputFlags {
  std::string output;  // empty: DefaultImageFile
  std::string format;  // empty: by the file's extension
  std::optional<int> quality;
};

// The flags that all tasks share. What is not given stays unset in the request, so that the server's default
// holds.
struct GenerationFlags {
  PriorFlags prior;
  std::string image_embedding;           // file; empty: none
  std::string negative_image_embedding;  // likewise
  std::optional<int> width;
  std::optional<int> height;
  std::optional<int> steps;
  std::optional<double> guidance_scale;
  std::optional<std::string> sampler;
  std::optional<double> eta;
  OutputFlags output;
  bool embed_parameters = false;
  std::string preview;  // pattern, see PreviewPath; empty: none
  std::optional<int> preview_every;
  std::optional<std::string> priority;
  std::optional<std::string> request_id;
  bool detach = false;
  bool validate_only = false;
};

// Throws CLI::ParseError unless a file called `flags.output` can hold the format, which it returns, and the
// format has what is given besides.
v1::OutputFormat CheckOutputFlags(const OutputFlags& flags);

// --output and what it is made of. `formats` are the names that --format takes.
void AddOutputFlags(CLI::App& app, OutputFlags& flags, const std::vector<std::string>& formats);

// Sets format and quality.
void SetOutput(const OutputFlags& flags, v1::OutputOptions& output);

void AddSizeFlags(CLI::App& app, std::optional<int>& width, std::optional<int>& height);

// All of them. Sets the callback of `app`, which refuses those that make no sense together.
void AddGenerationFlags(CLI::App& app, GenerationFlags& flags);

// Sets the fields of one task; errors are those of input_files.h.
using SetTask = std::function<absl::Status(v1::GenerateRequest& request)>;

// Reads the files, makes the request and runs it.
int RunTask(const GenerationFlags& flags, const SetTask& set_task, ImageClient& client,
            const CallOptions& call, const CommandOutput& output);

}  // namespace kandinsky::client
