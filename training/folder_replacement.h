#pragma once

#include <filesystem>
#include <functional>
#include <string>

#include "absl/status/status.h"

namespace kandinsky::training {

// UNAVAILABLE with the path and the system's reason.
absl::Status FileError(const std::filesystem::path& path, const std::error_code& error);

// Makes `folder` anew: `write` fills an empty folder beside it, which takes its place when it is complete.
// When something fails, also a crash of the machine, `folder` is what it was, or stands beside as
// "<folder>.old". The first error of `write` or of the file system.
absl::Status ReplaceFolder(const std::string& folder,
                           const std::function<absl::Status(const std::filesystem::path&)>& write);

}  // namespace kandinsky::training
