#include "pipeline/capabilities.h"

#include <algorithm>
#include <utility>
#include <variant>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "pipeline/network_names.h"

namespace kandinsky {
namespace {

// One of each task, in order.
template <size_t... kIndex>
std::vector<Task> EveryTask(std::index_sequence<kIndex...>) {
  return {Task(std::in_place_index<kIndex>)...};
}

int MaxSize(const Capabilities& capabilities, const RequestLimits& limits) {
  return std::max(capabilities.size_multiple, limits.max_size);
}

}  // namespace

bool AllowsSize(const Capabilities& capabilities, const RequestLimits& limits, int64_t edge) {
  const int multiple = capabilities.size_multiple;
  return edge >= multiple && edge <= MaxSize(capabilities, limits) && edge % multiple == 0;
}

std::string SizeRule(const Capabilities& capabilities, const RequestLimits& limits) {
  const int multiple = capabilities.size_multiple;
  return absl::StrCat("must be a multiple of ", multiple, " from ", multiple, " to ",
                      MaxSize(capabilities, limits), " pixels");
}

GenerationRequest DefaultRequest(const Capabilities& capabilities, const RequestLimits& limits) {
  const RequestDefaults& defaults = capabilities.defaults;
  const int multiple = capabilities.size_multiple;
  const auto size = [&](int edge) {
    return std::max(multiple, std::min(edge, limits.max_size) / multiple * multiple);
  };
  GenerationRequest request;
  request.width = size(defaults.width);
  request.height = size(defaults.height);
  request.steps = std::min({defaults.steps, capabilities.max_steps, limits.max_steps});
  request.guidance_scale = defaults.guidance_scale;
  request.prior_steps =
      std::min({defaults.prior_steps, capabilities.max_prior_steps, limits.max_prior_steps});
  request.prior_guidance_scale = defaults.prior_guidance_scale;
  return request;
}

const char* NetworkOf(const Task& task) {
  if (!MakesImage(task)) return nullptr;
  if (std::holds_alternative<Inpaint>(task)) return kInpaintNetwork;
  if (std::holds_alternative<ControlNet>(task)) return kDepthNetwork;
  return kDecoderNetwork;
}

std::string NetworkNames(const Capabilities& capabilities) {
  return capabilities.networks.empty() ? "none" : absl::StrJoin(capabilities.networks, ", ");
}

bool Offers(const Capabilities& capabilities, const Task& task) {
  if (std::holds_alternative<EmbedPrompt>(task)) return capabilities.has_prior;
  const char* const network = NetworkOf(task);
  const auto& networks = capabilities.networks;
  return network == nullptr || std::find(networks.begin(), networks.end(), network) != networks.end();
}

std::vector<std::string> OfferedTasks(const Capabilities& capabilities) {
  std::vector<std::string> names;
  for (const Task& task : EveryTask(std::make_index_sequence<std::variant_size_v<Task>>())) {
    const bool needs_encoder = std::holds_alternative<EmbedImage>(task);
    if (needs_encoder && !capabilities.has_image_encoder) continue;
    if (Offers(capabilities, task)) names.emplace_back(TaskName(task));
  }
  return names;
}

bool HasAdapter(const Capabilities& capabilities, const std::string& adapter) {
  const auto& adapters = capabilities.adapters;
  return std::find(adapters.begin(), adapters.end(), adapter) != adapters.end();
}

bool OffersAdapter(const Capabilities& capabilities, const Task& task, const std::string& adapter) {
  if (adapter.empty()) return true;
  const bool adapts = MakesImage(task) || std::holds_alternative<EmbedPrompt>(task);
  return adapts && HasAdapter(capabilities, adapter);
}

}  // namespace kandinsky
