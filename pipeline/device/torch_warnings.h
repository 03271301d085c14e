#pragma once

namespace kandinsky {

// Sends the warnings of libtorch on the calling thread to the log. libtorch writes them to standard error
// itself, and would wait for whoever reads it.
void SendTorchWarningsToLog();

}  // namespace kandinsky
