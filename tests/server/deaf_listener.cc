// To be preloaded: once the file that DEAF_WHEN names is there, nobody who wants a connection of the process
// gets an answer.

#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <cstdlib>

extern "C" int accept4(int listener, sockaddr* address, socklen_t* length, int flags) {
  while (access(std::getenv("DEAF_WHEN"), F_OK) == 0) pause();
  return static_cast<int>(syscall(SYS_accept4, listener, address, length, flags));
}
