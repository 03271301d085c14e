#include "pipeline/kandinsky/load_kandinsky.h"

#include <ATen/Parallel.h>
#include <c10/util/Exception.h>

#include <algorithm>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "base/logging.h"
#include "base/process_resources.h"
#include "base/status_macros.h"
#include "pipeline/kandinsky/kandinsky_model.h"
#include "pipeline/kandinsky/kandinsky_pipeline.h"
#include "pipeline/kandinsky22/request_check.h"
#include "pipeline/kandinsky22/request_plan.h"

namespace kandinsky {
namespace {

// libtorch writes warnings to standard error itself, and would wait for whoever reads it.
class WarningsToLog : public c10::WarningHandler {
 public:
  // For the calling thread.
  static void Use() {
    static WarningsToLog* const handler = new WarningsToLog;
    c10::WarningUtils::set_warning_handler(handler);
  }
  void process(const c10::Warning& warning) override {
    Log(LogLevel::kWarning, "libtorch warns", {{"warning", warning.msg()}});
  }
};

class Kandinsky22Model final : public Model {
 public:
  Kandinsky22Model(std::shared_ptr<const KandinskyModel> networks, int threads)
      : networks_(std::move(networks)), threads_(threads) {}

  const Capabilities& capabilities() const override { return networks_->capabilities; }

  std::vector<Violation> Check(const GenerationRequest& request, const RequestLimits& limits) const override {
    return CheckRequest(capabilities(), request, limits);
  }

  Plan PlanOf(const GenerationRequest& request) const override {
    PlanContext context = {.latent_scale = networks_->latent_scale, .memory = networks_->step_memory};
    const auto adapted = networks_->adapters.find(request.adapter);
    if (adapted != networks_->adapters.end()) {
      context.prior_adapter = adapted->second.prior_adapter;
      context.unet_adapter = adapted->second.unet_adapter;
    }
    return PlanRequest(request, context);
  }

  absl::StatusOr<std::unique_ptr<Pipeline>> MakePipeline(const std::string&) const override {
    WarningsToLog::Use();
    return std::make_unique<KandinskyPipeline>(networks_, threads_);
  }

 private:
  const std::shared_ptr<const KandinskyModel> networks_;
  const int threads_;  // compute threads of each pipeline
};

}  // namespace

absl::StatusOr<LoadedModel> LoadKandinsky(const PipelineOptions& options, int replicas) {
  const int threads =
      options.threads > 0 ? options.threads : std::max(1, AvailableCpus() / std::max(1, replicas));
  WarningsToLog::Use();
  at::set_num_threads(threads);  // loading converts and runs networks too
  ASSIGN_OR_RETURN(std::shared_ptr<const KandinskyModel> networks, LoadKandinskyModel(options));
  return LoadedModel{.model = std::make_shared<Kandinsky22Model>(std::move(networks), threads),
                     .devices = std::vector<std::string>(static_cast<size_t>(std::max(0, replicas)), "cpu")};
}

}  // namespace kandinsky
