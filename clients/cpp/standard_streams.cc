#include "clients/cpp/standard_streams.h"

#include <fcntl.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <atomic>
#include <cerrno>
#include <csignal>
#include <cstdlib>
#include <string_view>

#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/strip.h"

namespace kandinsky::client {
namespace {

constexpr int kUsualColumns = 80;
constexpr int kMostColumns = 1000;

}  // namespace

void PrepareStandardStreams() {
  for (const int descriptor : {STDIN_FILENO, STDOUT_FILENO, STDERR_FILENO}) {
    if (::fcntl(descriptor, F_GETFD) >= 0 || errno != EBADF) continue;
    // The lowest free number is this one.
    [[maybe_unused]] const int opened = ::open("/dev/null", descriptor == STDIN_FILENO ? O_WRONLY : O_RDONLY);
  }
  std::signal(SIGXFSZ, SIG_IGN);
}

bool IsStandardOutput(const std::string& path) { return OutputDescriptor(path) == STDOUT_FILENO; }

int OutputDescriptor(const std::string& path) {
  if (path == "-" || path == "/dev/stdout") return STDOUT_FILENO;
  if (path == "/dev/stderr") return STDERR_FILENO;
  absl::string_view number = path;
  int descriptor = -1;
  if (!absl::ConsumePrefix(&number, "/dev/fd/") && !absl::ConsumePrefix(&number, "/proc/self/fd/")) return -1;
  return absl::SimpleAtoi(number, &descriptor) && descriptor >= 0 ? descriptor : -1;
}

int WriteAll(int descriptor, const std::string& content) {
  for (size_t written = 0; written < content.size();) {
    const ssize_t count = ::write(descriptor, content.data() + written, content.size() - written);
    if (count < 0 && errno != EINTR) return errno;
    if (count > 0) written += static_cast<size_t>(count);
  }
  return 0;
}

absl::Status WriteStandardOutput(const std::string& content) {
  const int error = WriteAll(STDOUT_FILENO, content);
  return error == 0 ? absl::OkStatus() : absl::ErrnoToStatus(error, "cannot write to the standard output");
}

absl::StatusOr<std::string> ReadStandardInput(const std::string& flag, size_t max_bytes) {
  static std::atomic<bool> taken = false;
  if (taken.exchange(true)) {
    return absl::InvalidArgumentError(
        absl::StrCat(flag, ": the standard input can be read only once, and another flag has it"));
  }
  std::string content;
  std::array<char, 1 << 16> block;
  while (true) {
    const ssize_t count = ::read(STDIN_FILENO, block.data(), block.size());
    if (count == 0) return content;
    if (count < 0 && errno == EINTR) continue;
    if (count < 0) return absl::ErrnoToStatus(errno, absl::StrCat(flag, ": cannot read the standard input"));
    content.append(block.data(), static_cast<size_t>(count));
    if (content.size() > max_bytes) {
      return absl::InvalidArgumentError(
          absl::StrCat(flag, ": the standard input is larger than ", max_bytes >> 20, " MiB"));
    }
  }
}

bool CanRedrawLines() {
  const char* const kind = std::getenv("TERM");
  const std::string_view term = kind == nullptr ? "" : kind;
  return ::isatty(STDERR_FILENO) == 1 && !term.empty() && term != "dumb";
}

int TerminalColumns() {
  int columns = 0;
  const char* const told = std::getenv("COLUMNS");
  if (told != nullptr && absl::SimpleAtoi(told, &columns) && columns > 0)
    return std::min(columns, kMostColumns);
  winsize size = {};
  if (::ioctl(STDERR_FILENO, TIOCGWINSZ, &size) == 0 && size.ws_col > 0) {
    return std::min(static_cast<int>(size.ws_col), kMostColumns);
  }
  return kUsualColumns;
}

}  // namespace kandinsky::client
