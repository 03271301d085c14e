#include "pipeline/capabilities.h"

#include <algorithm>
#include <variant>

#include "absl/strings/str_join.h"

namespace kandinsky {

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
