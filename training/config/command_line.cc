#include "training/config/command_line.h"

#include <cstdio>
#include <iostream>
#include <sstream>
#include <string>
#include <utility>
#include <vector>

#include <CLI/CLI.hpp>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "base/standard_descriptors.h"
#include "base/status_macros.h"
#include "config/config_text.h"
#include "training/config/training_config.h"

namespace kandinsky::training {
namespace {

absl::StatusOr<v1::TrainingConfig> BuildConfig(const std::string& file,
                                               const std::vector<std::string>& overrides) {
  v1::TrainingConfig config;
  if (!file.empty()) RETURN_IF_ERROR(ReadMessageFile(file, config));
  for (const std::string& override_text : overrides) RETURN_IF_ERROR(OverrideField(override_text, config));
  return WithDefaults(config);
}

// An estimate reads no data and writes nothing, so it asks for none of the required fields. Without a model
// it is about the published one, and `options` says so by an empty decoder_path.
void FillRequired(bool published, v1::TrainingConfig& config) {
  const auto fill = [](const std::string& value, std::string* field) {
    if (value.empty()) *field = "unused";
  };
  if (published) fill(config.decoder_path(), config.mutable_decoder_path());
  fill(config.data().path(), config.mutable_data()->mutable_path());
  fill(config.output_folder(), config.mutable_output_folder());
  if (config.max_steps() == 0) config.set_max_steps(1);
}

TrainingCommandLine EndWith(int exit_code) {
  return {.options = std::nullopt, .estimate = false, .exit_code = exit_code};
}

TrainingCommandLine Refuse(const absl::Status& status, int exit_code = kTrainingExitUsage) {
  std::fprintf(stderr, "kandinsky-train: %s\n", std::string(status.message()).c_str());
  return EndWith(exit_code);
}

// For a program that only prints.
TrainingCommandLine Print(const std::string& text) {
  const absl::Status status = WriteStandardOutput(text);
  return status.ok() ? EndWith(kTrainingExitOk) : Refuse(status, kTrainingExitFailure);
}

}  // namespace

TrainingCommandLine ParseTrainingCommandLine(int argc, const char* const* argv) {
  CLI::App app("Trains the prior or the decoder of a Kandinsky image model.", "kandinsky-train");
  std::string file;
  std::vector<std::string> overrides;
  bool check = false;
  bool estimate = false;
  app.add_option("--config", file, "Configuration file: kandinsky.v1.TrainingConfig as .textproto or .json");
  app.add_option("--set", overrides,
                 "Override one field, e.g. --set optimizer.learning_rate=1e-5 (repeatable)")
      ->type_name("PATH=VALUE")
      ->expected(1)
      ->take_all();
  app.add_flag("--check_config", check,
               "Check the configuration, print it with all defaults as text proto and exit");
  app.add_flag("--estimate", estimate,
               "Say what the run would take in memory and time and exit; without decoder_path for the "
               "published networks");
  app.set_version_flag("--version", "kandinsky-train " KANDINSKY_VERSION);
  try {
    app.parse(argc, argv);
  } catch (const CLI::ParseError& error) {
    std::ostringstream text;
    return app.exit(error, text, std::cerr) == 0 ? Print(text.str()) : EndWith(kTrainingExitUsage);
  }
  absl::StatusOr<v1::TrainingConfig> config = BuildConfig(file, overrides);
  if (!config.ok()) return Refuse(config.status());
  const bool published = config->decoder_path().empty() && config->prior_path().empty();
  if (estimate) FillRequired(published, *config);
  absl::StatusOr<TrainingOptions> options = ToTrainingOptions(*config);
  if (!options.ok()) return Refuse(options.status());
  if (estimate && published) options->decoder_path.clear();
  if (check) return Print(PrintMessage(*config));
  return {.options = *std::move(options), .estimate = estimate, .exit_code = kTrainingExitOk};
}

}  // namespace kandinsky::training
