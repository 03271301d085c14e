#pragma once

#include "clients/cpp/command_set.h"

namespace kandinsky::client {

// The commands that make images from a prompt: generate, edit, inpaint and control.
void AddImageCommands(CommandSet& commands);

}  // namespace kandinsky::client
