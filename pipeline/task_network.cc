#include "pipeline/task_network.h"

#include <algorithm>
#include <variant>

namespace kandinsky {

const char* NetworkOf(const Task& task) {
  if (!MakesImage(task)) return nullptr;
  if (std::holds_alternative<Inpaint>(task)) return "inpaint";
  if (std::holds_alternative<ControlNet>(task)) return "controlnet_depth";
  return "decoder";
}

bool Offers(const Capabilities& capabilities, const Task& task) {
  const char* const network = NetworkOf(task);
  return network == nullptr || capabilities.network == "any" || capabilities.network == network;
}

bool OffersAdapter(const Capabilities& capabilities, const Task& task, const std::string& adapter) {
  if (adapter.empty()) return true;
  const auto& offered = capabilities.adapters;
  return (MakesImage(task) || std::holds_alternative<EmbedPrompt>(task)) &&
         std::find(offered.begin(), offered.end(), adapter) != offered.end();
}

}  // namespace kandinsky
