#include "pipeline/task_network.h"

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

}  // namespace kandinsky
