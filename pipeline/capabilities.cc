#include "pipeline/capabilities.h"

#include <algorithm>
#include <utility>
#include <variant>

#include "absl/strings/str_join.h"

namespace kandinsky {
namespace {

// One of each task, in order.
template <size_t... kIndex>
std::vector<Task> EveryTask(std::index_sequence<kIndex...>) {
  return {Task(std::in_place_index<kIndex>)...};
}

}  // namespace

const char* NetworkOf(const Task& task) {
  if (!MakesImage(task)) return nullptr;
  if (std::holds_alternative<Inpaint>(task)) return "inpaint";
  if (std::holds_alternative<ControlNet>(task)) return "controlnet_depth";
  return "decoder";
}

std::string NetworkNames(const Capabilities& capabilities) {
  return capabilities.networks.empty() ? "none" : absl::StrJoin(capabilities.networks, ", ");
}

bool Offers(const Capabilities& capabilities, const Task& task) {
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
