#include "base/standard_descriptors.h"
#include "server/command_line.h"
#include "server/run_server.h"
#include "tests/fakes/fake_pipeline.h"
#include "tests/fakes/step_gate.h"

namespace kandinsky::server {
namespace {

// model.path "missing" fails to load, "endless" never ends loading, "stuck" never ends a step.
absl::StatusOr<LoadedModel> LoadNamed(const std::string& path) {
  if (path == "missing") return absl::NotFoundError("missing: no model_index.json");
  if (path == "endless") {
    StepGate gate;
    gate.Pass();
  }
  FakePipelineOptions options;
  if (path == "stuck") {
    options.on_step = [gate = std::make_shared<StepGate>()](const FakeStep&) { gate->Pass(); };
  }
  return LoadFake(options);
}

}  // namespace
}  // namespace kandinsky::server

// The server's process around a FakePipeline. model.path "impatient" calls its own port all the time.
int main(int argc, char** argv) {
  kandinsky::OpenStandardDescriptors();
  const kandinsky::server::CommandLine command_line = kandinsky::server::ParseCommandLine(argc, argv);
  if (!command_line.config.has_value()) return command_line.exit_code;
  const std::string& path = command_line.config->model().path();
  kandinsky::server::ListenerProbe::Options probe;
  if (path == "impatient") probe = {.interval = absl::Milliseconds(5), .patience = absl::Milliseconds(500)};
  return kandinsky::server::RunServer(
      *command_line.config, [&] { return kandinsky::server::LoadNamed(path); }, probe);
}
