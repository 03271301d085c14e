#include "pipeline/kandinsky/kandinsky_pipeline_factory.h"

#include <ATen/Parallel.h>
#include <c10/util/Exception.h>

#include <algorithm>
#include <memory>

#include "base/logging.h"
#include "base/process_resources.h"
#include "base/status_macros.h"
#include "pipeline/kandinsky/kandinsky_model.h"
#include "pipeline/kandinsky/kandinsky_pipeline.h"

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

}  // namespace

absl::StatusOr<std::vector<PipelineFactory>> LoadKandinsky(const PipelineOptions& options, int replicas) {
  const int threads =
      options.threads > 0 ? options.threads : std::max(1, AvailableCpus() / std::max(1, replicas));
  WarningsToLog::Use();
  at::set_num_threads(threads);  // loading converts and runs networks too
  ASSIGN_OR_RETURN(const std::shared_ptr<const KandinskyModel> model, LoadKandinskyModel(options));
  const PipelineFactory factory = [model, threads]() -> absl::StatusOr<std::unique_ptr<Pipeline>> {
    WarningsToLog::Use();
    return std::make_unique<KandinskyPipeline>(model, threads);
  };
  return std::vector<PipelineFactory>(static_cast<size_t>(std::max(0, replicas)), factory);
}

}  // namespace kandinsky
