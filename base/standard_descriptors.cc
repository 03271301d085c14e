#include "base/standard_descriptors.h"

#include <fcntl.h>
#include <unistd.h>

#include <cerrno>
#include <cstddef>
#include <initializer_list>

namespace kandinsky {

void OpenStandardDescriptors() {
  for (const int descriptor : {STDIN_FILENO, STDOUT_FILENO, STDERR_FILENO}) {
    if (fcntl(descriptor, F_GETFD) >= 0 || errno != EBADF) continue;
    // The lowest free number is this one; nothing can be done, nor said, where even that fails.
    // The standard output is opened for reading, so that what a program prints to it is not taken for
    // printed.
    [[maybe_unused]] const int opened = open("/dev/null", descriptor == STDOUT_FILENO ? O_RDONLY : O_RDWR);
  }
}

absl::Status WriteStandardOutput(const std::string& content) {
  for (size_t written = 0; written < content.size();) {
    const ssize_t count = write(STDOUT_FILENO, content.data() + written, content.size() - written);
    if (count >= 0) {
      written += static_cast<size_t>(count);
    } else if (errno != EINTR) {
      return absl::ErrnoToStatus(errno, "cannot write to the standard output");
    }
  }
  return absl::OkStatus();
}

#if !defined(__SANITIZE_ADDRESS__) && !defined(__SANITIZE_THREAD__)
__attribute__((section(".preinit_array"), used)) void (*const kBeforeLibraries)() = OpenStandardDescriptors;
#endif

}  // namespace kandinsky
