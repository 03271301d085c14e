#include "pipeline/generation_request.h"

#include <array>

namespace kandinsky {

const char* TaskName(const Task& task) {
  static constexpr std::array<const char*, std::variant_size_v<Task>> kNames = {
      "text_to_image", "image_to_image", "inpaint",        "control_net",   "embed_text",
      "embed_image",   "embed_prompt",   "encode_latents", "decode_latents"};
  return kNames[task.index()];
}

bool MakesImage(const Task& task) { return task.index() <= Task(ControlNet{}).index(); }

}  // namespace kandinsky
