// The command-line client.

#include <pthread.h>
#include <unistd.h>

#include <CLI/CLI.hpp>
#include <csignal>
#include <exception>
#include <functional>
#include <iostream>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <thread>
#include <vector>

#include "absl/strings/str_join.h"
#include "clients/cpp/command_output.h"
#include "clients/cpp/generate_command.h"
#include "clients/cpp/generation_commands.h"
#include "clients/cpp/image_client.h"

namespace kandinsky {
namespace {

// Cancels the call at the first SIGINT or SIGTERM and ends the program at the second. Must run before any
// other thread starts, which then inherit the blocked signals.
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
    sigwait(&signals, &signal);
    _exit(kExitInterrupted);
  }).detach();
}

// The flags of every command.
struct CallFlags {
  std::string server = "localhost:50051";
  std::string client_id;
  std::optional<double> timeout_seconds;
  bool json = false;
};

// The flags of `generate`; unset ones leave the server its defaults.
struct GenerateFlags {
  std::vector<std::string> prompt;
  std::string output = "image.png";
  std::string preview;
  int preview_every = 5;
  std::optional<std::string> negative_prompt;
  std::optional<int> width;
  std::optional<int> height;
  std::optional<int> steps;
  std::optional<float> guidance_scale;
  std::optional<int> prior_steps;
  std::optional<float> prior_guidance_scale;
  std::optional<uint64_t> seed;
  std::optional<int> count;
  std::optional<std::string> sampler;
  std::optional<std::string> priority;
  std::optional<std::string> request_id;
  bool detach = false;
};

const std::map<std::string, v1::Priority> kPriorities = {
    {"low", v1::PRIORITY_LOW}, {"normal", v1::PRIORITY_NORMAL}, {"high", v1::PRIORITY_HIGH}};

const std::map<std::string, v1::GenerationState> kStates = {{"queued", v1::GENERATION_STATE_QUEUED},
                                                            {"running", v1::GENERATION_STATE_RUNNING},
                                                            {"succeeded", v1::GENERATION_STATE_SUCCEEDED},
                                                            {"failed", v1::GENERATION_STATE_FAILED},
                                                            {"cancelled", v1::GENERATION_STATE_CANCELLED}};

void AddFlags(CLI::App& app, CallFlags& flags) {
  app.add_option("--server", flags.server, "host:port of the server")->capture_default_str();
  app.add_option("--client-id", flags.client_id,
                 "Who asks: clients share the server evenly, and a request belongs to its client");
  app.add_option("--timeout", flags.timeout_seconds,
                 "Seconds until the call is given up (default: the server's)")
      ->check(CLI::PositiveNumber);
  app.add_flag("--json", flags.json, "Prints the result, or the error, as a JSON object");
}

void AddImageFlags(CLI::App& app, GenerateFlags& flags) {
  app.add_option("prompt", flags.prompt, "What to draw; several words need no quotes")->required();
  app.add_option("--negative-prompt", flags.negative_prompt, "What to keep away from");
  app.add_option("--width", flags.width, "Pixels, a multiple of 64 (default 512)");
  app.add_option("--height", flags.height, "Pixels, a multiple of 64 (default 512)");
  app.add_option("--steps", flags.steps, "Denoising steps (default 50)");
  app.add_option("--guidance-scale", flags.guidance_scale,
                 "How closely to follow the prompt; 1 or less: off (default 4)");
  app.add_option("--prior-steps", flags.prior_steps, "Steps of the diffusion prior (default 25)");
  app.add_option("--prior-guidance-scale", flags.prior_guidance_scale, "Guidance of the prior (default 4)");
  // The check is needed: a negative number would wrap around.
  app.add_option("--seed", flags.seed, "Makes the result repeatable; image i uses seed + i (default: drawn)")
      ->check(CLI::NonNegativeNumber);
  app.add_option("--count", flags.count, "Images to make (default 1)")->check(CLI::Range(1, 64));
  app.add_option("--sampler", flags.sampler, "ddpm or ddim (default: the model's own)")
      ->check(CLI::IsMember({"ddpm", "ddim"}));
}

void AddRequestFlags(CLI::App& app, GenerateFlags& flags) {
  app.add_option("-o,--output", flags.output, "PNG file; several images become FILE-0.png, FILE-1.png, ...")
      ->capture_default_str();
  CLI::Option* const preview =
      app.add_option("--preview", flags.preview,
                     "File for small pictures of the unfinished image, each replacing the one before");
  app.add_option("--preview-every", flags.preview_every, "Denoising steps from one preview to the next")
      ->check(CLI::Range(1, 1000))
      ->needs(preview)
      ->capture_default_str();
  app.add_option("--priority", flags.priority, "low, normal or high (default normal)")
      ->check(CLI::IsMember({"low", "normal", "high"}));
  CLI::Option* const request_id =
      app.add_option("--request-id", flags.request_id,
                     "Names the request; the same call again joins it or gets its result (default: drawn)");
  app.add_flag("--detach", flags.detach, "The server goes on when this call ends; collect with `get`")
      ->needs(request_id);
}

v1::GenerateRequest ToRequest(const GenerateFlags& flags) {
  v1::GenerateRequest request;
  request.set_prompt(absl::StrJoin(flags.prompt, " "));
  if (flags.negative_prompt) request.set_negative_prompt(*flags.negative_prompt);
  if (flags.width) request.set_width(*flags.width);
  if (flags.height) request.set_height(*flags.height);
  if (flags.steps) request.set_steps(*flags.steps);
  if (flags.guidance_scale) request.set_guidance_scale(*flags.guidance_scale);
  if (flags.prior_steps) request.set_prior_steps(*flags.prior_steps);
  if (flags.prior_guidance_scale) request.set_prior_guidance_scale(*flags.prior_guidance_scale);
  if (flags.seed) request.set_seed(*flags.seed);
  if (flags.count) request.set_image_count(*flags.count);
  if (flags.sampler) request.set_sampler(*flags.sampler == "ddim" ? v1::SAMPLER_DDIM : v1::SAMPLER_DDPM);
  if (!flags.preview.empty()) request.mutable_preview()->set_every_steps(flags.preview_every);
  if (flags.priority) request.set_priority(kPriorities.at(*flags.priority));
  if (flags.request_id) request.set_request_id(*flags.request_id);
  if (flags.detach) request.set_detach(true);
  request.mutable_output()->set_format(v1::OUTPUT_FORMAT_PNG);
  return request;
}

// A command of the program: adds its flags, and runs once they are parsed.
using Command = std::function<int(ImageClient& client, const CallOptions& call, const CommandOutput& output)>;

Command AddGenerate(CLI::App& program) {
  CLI::App& app =
      *program.add_subcommand("generate", "Makes images from a prompt and writes them as PNG files");
  const auto flags = std::make_shared<GenerateFlags>();
  AddImageFlags(app, *flags);
  AddRequestFlags(app, *flags);
  return [flags](ImageClient& client, const CallOptions& call, const CommandOutput& output) {
    return RunGenerate({.request = ToRequest(*flags),
                        .output = flags->output,
                        .preview = flags->preview,
                        .terminal = isatty(STDERR_FILENO) == 1,
                        .call = call},
                       client, output);
  };
}

Command AddGet(CLI::App& program) {
  CLI::App& app = *program.add_subcommand("get", "Tells how a request stands, and collects its images");
  const auto command = std::make_shared<GetCommand>();
  app.add_option("id", command->id, "The request's id")->required();
  app.add_option("-o,--output", command->output,
                 "PNG file for its image; several become FILE-0.png, FILE-1.png, ...");
  return [command](ImageClient& client, const CallOptions& call, const CommandOutput& output) {
    command->call = call;
    return RunGet(*command, client, output);
  };
}

Command AddList(CLI::App& program) {
  CLI::App& app =
      *program.add_subcommand("list", "Lists the requests that are live or kept, the oldest first");
  const auto command = std::make_shared<ListCommand>();
  const auto state = std::make_shared<std::string>();
  app.add_option("--of-client", command->of_client, "Only those of this client (default: of all)");
  app.add_option("--state", *state, "Only those in this state")
      ->check(CLI::IsMember({"queued", "running", "succeeded", "failed", "cancelled"}));
  app.add_option("--limit", command->limit, "Most requests to list")
      ->check(CLI::Range(1, 1000000))
      ->capture_default_str();
  return [command, state](ImageClient& client, const CallOptions& call, const CommandOutput& output) {
    command->call = call;
    if (!state->empty()) command->state = kStates.at(*state);
    return RunList(*command, client, output);
  };
}

Command AddCancel(CLI::App& program) {
  CLI::App& app = *program.add_subcommand("cancel", "Ends a request that waits or runs");
  const auto id = std::make_shared<std::string>();
  app.add_option("id", *id, "The request's id")->required();
  return [id](ImageClient& client, const CallOptions& call, const CommandOutput& output) {
    return RunCancel(*id, call, client, output);
  };
}

int Run(const Command& command, const CallFlags& flags) {
  const auto cancellation = std::make_shared<Cancellation>();
  CancelOnSignals(cancellation);
  CallOptions call = {.cancellation = cancellation.get(), .client_id = flags.client_id};
  if (flags.timeout_seconds) call.timeout = absl::Seconds(*flags.timeout_seconds);
  ImageClient client = ImageClient::Connect(flags.server);
  return command(client, call, {.out = std::cout, .err = std::cerr, .json = flags.json});
}

int Main(int argc, char** argv) {
  CLI::App app("Client of a Kandinsky image generation server.", "kandinsky");
  app.require_subcommand(1);
  const std::map<std::string, Command> commands = {{"generate", AddGenerate(app)},
                                                   {"get", AddGet(app)},
                                                   {"list", AddList(app)},
                                                   {"cancel", AddCancel(app)}};
  CallFlags flags;
  for (const auto& [name, command] : commands) AddFlags(*app.get_subcommand(name), flags);
  try {
    app.parse(argc, argv);
  } catch (const CLI::ParseError& error) {
    return app.exit(error) == 0 ? 0 : kExitUsage;
  }
  return Run(commands.at(app.get_subcommands().front()->get_name()), flags);
}

}  // namespace
}  // namespace kandinsky

int main(int argc, char** argv) {
  try {
    return kandinsky::Main(argc, argv);
  } catch (const std::exception& exception) {
    std::cerr << "kandinsky: " << exception.what() << std::endl;
    return kandinsky::kExitError;
  }
}
