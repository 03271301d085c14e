// The command-line client.

#include <pthread.h>
#include <unistd.h>

#include <CLI/CLI.hpp>
#include <csignal>
#include <exception>
#include <iostream>
#include <memory>
#include <optional>
#include <string>
#include <thread>
#include <vector>

#include "absl/strings/str_join.h"
#include "clients/cpp/generate_command.h"
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

// The flags of `generate`; unset ones leave the server its defaults.
struct GenerateFlags {
  std::vector<std::string> prompt;
  std::string server = "localhost:50051";
  std::string output = "image.png";
  bool json = false;
  std::optional<double> timeout_seconds;
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
};

void AddFlags(CLI::App& app, GenerateFlags& flags) {
  app.add_option("prompt", flags.prompt, "What to draw; several words need no quotes")->required();
  app.add_option("--server", flags.server, "host:port of the server")->capture_default_str();
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
  app.add_option("-o,--output", flags.output, "PNG file; several images become FILE-0.png, FILE-1.png, ...")
      ->capture_default_str();
  app.add_option("--timeout", flags.timeout_seconds,
                 "Seconds until the request is given up (default: the server's)")
      ->check(CLI::PositiveNumber);
  app.add_flag("--json", flags.json, "Prints the result, or the error, as a JSON object");
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
  request.mutable_output()->set_format(v1::OUTPUT_FORMAT_PNG);
  return request;
}

int Generate(const GenerateFlags& flags) {
  const auto cancellation = std::make_shared<Cancellation>();
  CancelOnSignals(cancellation);
  GenerateCommand command = {.request = ToRequest(flags),
                             .output = flags.output,
                             .json = flags.json,
                             .terminal = isatty(STDERR_FILENO) == 1,
                             .call = {}};
  if (flags.timeout_seconds) command.call.timeout = absl::Seconds(*flags.timeout_seconds);
  command.call.cancellation = cancellation.get();
  ImageClient client = ImageClient::Connect(flags.server);
  return RunGenerate(command, client, std::cout, std::cerr);
}

int Main(int argc, char** argv) {
  CLI::App app("Client of a Kandinsky image generation server.", "kandinsky");
  app.require_subcommand(1);
  GenerateFlags flags;
  CLI::App& generate =
      *app.add_subcommand("generate", "Makes images from a prompt and writes them as PNG files");
  AddFlags(generate, flags);
  try {
    app.parse(argc, argv);
  } catch (const CLI::ParseError& error) {
    return app.exit(error) == 0 ? 0 : kExitUsage;
  }
  return Generate(flags);
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
