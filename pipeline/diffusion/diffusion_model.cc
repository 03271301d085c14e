#include "pipeline/diffusion/diffusion_model.h"

#include <utility>

#include "absl/status/status.h"
#include "absl/strings/str_cat.h"
#include "pipeline/device/torch_warnings.h"
#include "pipeline/diffusion/diffusion_pipeline.h"

namespace kandinsky {
namespace {

class LoadedDiffusionModel final : public Model {
 public:
  LoadedDiffusionModel(std::shared_ptr<const DiffusionModel> parts, int threads)
      : parts_(std::move(parts)), threads_(threads) {}

  const Capabilities& capabilities() const override { return parts_->capabilities; }

  std::vector<Violation> Check(const GenerationRequest& request, const RequestLimits& limits) const override {
    return parts_->family->Check(capabilities(), request, limits);
  }

  Plan PlanOf(const GenerationRequest& request) const override {
    const auto adapted = parts_->adapters.find(request.adapter);
    const AdaptedNetworks& networks = adapted == parts_->adapters.end() ? parts_->networks : adapted->second;
    return parts_->family->PlanOf(request, networks.names);
  }

  absl::StatusOr<std::unique_ptr<Pipeline>> MakePipeline(const std::string& device) const override {
    if (device != parts_->placement.device_name()) {
      return absl::InvalidArgumentError(absl::StrCat("device must be ", parts_->placement.device_name(),
                                                     ", where the model lies, not ", device));
    }
    SendTorchWarningsToLog();
    return std::make_unique<DiffusionPipeline>(parts_, threads_);
  }

 private:
  const std::shared_ptr<const DiffusionModel> parts_;
  const int threads_;  // compute threads of each pipeline
};

}  // namespace

std::shared_ptr<const Model> MakeModel(std::shared_ptr<const DiffusionModel> parts, int threads) {
  return std::make_shared<LoadedDiffusionModel>(std::move(parts), threads);
}

}  // namespace kandinsky
