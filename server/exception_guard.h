#pragma once

#include <exception>
#include <string>
#include <utility>

namespace kandinsky::server {

// Runs `body`. No exception passes: what one says goes to `on_exception` as a text for the log.
template <typename Body, typename Handler>
void GuardExceptions(Body&& body, Handler&& on_exception) noexcept {
  try {
    std::forward<Body>(body)();
  } catch (const std::exception& error) {
    on_exception(std::string(error.what()));
  } catch (...) {
    on_exception(std::string("unknown exception"));
  }
}

}  // namespace kandinsky::server
