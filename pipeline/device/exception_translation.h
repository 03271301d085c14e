#pragma once

#include <c10/util/Exception.h>

#include <exception>
#include <new>
#include <string>

#include "absl/status/status.h"
#include "absl/strings/str_cat.h"
#include "base/logging.h"

namespace kandinsky {

// Whether libtorch could not get memory.
inline bool IsOutOfMemory(const c10::Error& error) {
  if (dynamic_cast<const c10::OutOfMemoryError*>(&error) != nullptr) return true;
  // The CPU allocator throws a plain c10::Error; its text is the only mark.
  return std::string(error.what_without_backtrace()).find("can't allocate memory") != std::string::npos;
}

// Runs `body`, which returns absl::Status or StatusOr, and translates what libtorch throws:
// RESOURCE_EXHAUSTED when memory ran out, INTERNAL otherwise. The texts of exceptions go to the log, not into
// the status. `what` names the work, e.g. "denoise".
template <typename Body>
auto TranslateExceptions(const char* what, Body body) -> decltype(body()) {
  try {
    return body();
  } catch (const std::bad_alloc&) {
    return absl::ResourceExhaustedError(absl::StrCat("out of memory in ", what));
  } catch (const c10::Error& error) {
    if (IsOutOfMemory(error)) return absl::ResourceExhaustedError(absl::StrCat("out of memory in ", what));
    Log(LogLevel::kError, "libtorch failed", {{"where", what}, {"error", error.what_without_backtrace()}});
  } catch (const std::exception& error) {
    Log(LogLevel::kError, "the pipeline failed", {{"where", what}, {"error", error.what()}});
  }
  return absl::InternalError(absl::StrCat("the ", what, " failed"));
}

}  // namespace kandinsky
