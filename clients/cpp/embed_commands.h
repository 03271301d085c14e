#pragma once

#include "clients/cpp/command_set.h"

namespace kandinsky::client {

// The commands that make embeddings: embed text, embed image and embed prompt.
void AddEmbedCommands(CommandSet& commands);

}  // namespace kandinsky::client
