#pragma once

#include "clients/cpp/command_set.h"

namespace kandinsky::client {

// The commands of the image autoencoder: latents encode and latents decode.
void AddLatentsCommands(CommandSet& commands);

}  // namespace kandinsky::client
