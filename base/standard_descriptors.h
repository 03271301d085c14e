#pragma once

namespace kandinsky {

// Opens /dev/null as standard input, output or error where the process was started without one: otherwise the
// next file or connection would get its number, and what is printed would be written there. In a program that
// calls it this is done even before the initializers of its libraries, some of which open descriptors; but
// not with sanitizers, which want to be first themselves.
void OpenStandardDescriptors();

}  // namespace kandinsky
