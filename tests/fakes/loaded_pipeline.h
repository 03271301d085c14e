#pragma once

#include <memory>
#include <utility>

#include "pipeline/model.h"

namespace kandinsky {

// A model with one pipeline of it, for tests that step by themselves.
class LoadedPipeline {
 public:
  // Makes the pipeline on the first device.
  explicit LoadedPipeline(LoadedModel loaded)
      : model_(std::move(loaded.model)), device_(loaded.devices.front()) {
    MakeAgain();
  }

  void MakeAgain() { pipeline_ = *model_->MakePipeline(device_); }

  const Capabilities& capabilities() const { return model_->capabilities(); }
  absl::StatusOr<std::unique_ptr<Sample>> Admit(const GenerationRequest& request) {
    return pipeline_->Admit(request, std::make_shared<const Plan>(model_->PlanOf(request)));
  }
  absl::Status Step(absl::Span<Sample* const> batch) { return pipeline_->Step(batch); }

 private:
  const std::shared_ptr<const Model> model_;
  const std::string device_;
  std::unique_ptr<Pipeline> pipeline_;
};

}  // namespace kandinsky
