#pragma once

#include "clients/cpp/command_set.h"

namespace kandinsky {

// The command mix: images from texts, images and embeddings.
void AddMixCommand(CommandSet& commands);

}  // namespace kandinsky
