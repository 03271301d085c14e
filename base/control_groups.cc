#include "base/control_groups.h"

#include <algorithm>
#include <fstream>
#include <optional>
#include <sstream>
#include <utility>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"

namespace kandinsky {
namespace {

// A line of /proc/self/mountinfo that mounts control groups.
struct Mount {
  std::string root;    // the group that is seen at `folder`
  std::string folder;  // where it is seen
};

// Undoes the escapes of /proc: a blank, for example, is written \040.
std::string Unescaped(const std::string& text) {
  std::string plain;
  for (size_t i = 0; i < text.size(); ++i) {
    const auto is_octal = [&](size_t at) { return at < text.size() && text[at] >= '0' && text[at] <= '7'; };
    if (text[i] == '\\' && is_octal(i + 1) && is_octal(i + 2) && is_octal(i + 3)) {
      plain += static_cast<char>((text[i + 1] - '0') * 64 + (text[i + 2] - '0') * 8 + (text[i + 3] - '0'));
      i += 3;
    } else {
      plain += text[i];
    }
  }
  return plain;
}

bool Lists(const std::string& comma_separated, const std::string& word) {
  return absl::StrContains("," + comma_separated + ",", "," + word + ",");
}

// Reads "36 35 98:0 /root /folder options [more...] - type source super-options" (proc(5)).
std::optional<Mount> ParseMount(const std::string& line, CgroupVersion version,
                                const std::string& controller) {
  const size_t separator = line.find(" - ");
  if (separator == std::string::npos) return std::nullopt;
  std::istringstream before(line.substr(0, separator));
  std::istringstream after(line.substr(separator + 3));
  std::string ignored;
  std::string root;
  std::string folder;
  std::string type;
  std::string options;
  if (!(before >> ignored >> ignored >> ignored >> root >> folder) ||
      !(after >> type >> ignored >> options)) {
    return std::nullopt;
  }
  const bool wanted =
      version == CgroupVersion::k2 ? type == "cgroup2" : type == "cgroup" && Lists(options, controller);
  if (!wanted) return std::nullopt;
  return Mount{Unescaped(root), Unescaped(folder)};
}

std::vector<Mount> ReadMounts(const std::string& root, CgroupVersion version, const std::string& controller) {
  std::ifstream file(root + "/proc/self/mountinfo");
  std::vector<Mount> mounts;
  for (std::string line; std::getline(file, line);) {
    if (std::optional<Mount> mount = ParseMount(line, version, controller)) {
      mounts.push_back(*std::move(mount));
    }
  }
  return mounts;
}

// Returns `group` as seen from `top` ("" for `top` itself); nothing when it is not below.
std::optional<std::string> Below(const std::string& group, const std::string& top) {
  // A group outside of the process's namespace is written with dots, which lead nowhere in the mount.
  if (absl::StrContains(group + "/", "/../")) return std::nullopt;
  if (top == "/") return group == "/" ? "" : group;
  if (group == top) return "";
  if (absl::StartsWith(group, top + "/")) return group.substr(top.size());
  return std::nullopt;
}

// Appends the group at `path` below `mount`, and its parents up to the mount.
void AppendWithParents(CgroupVersion version, const std::string& mount, std::string path,
                       std::vector<CgroupFolder>& folders) {
  while (true) {
    folders.push_back({version, mount + path});
    const size_t slash = path.find_last_of('/');
    if (slash == std::string::npos) return;
    path.resize(slash);
  }
}

void AppendFolders(const std::string& root, CgroupVersion version, const std::string& controller,
                   const std::string& group, std::vector<CgroupFolder>& folders) {
  const std::vector<Mount> mounts = ReadMounts(root, version, controller);
  bool seen = false;
  for (const Mount& mount : mounts) {
    if (const std::optional<std::string> path = Below(group, mount.root)) {
      AppendWithParents(version, root + mount.folder, *path, folders);
      seen = true;
    }
  }
  // The paths of the group and of the mount come from different namespaces: a container sees itself at the
  // mount.
  if (!seen && !mounts.empty()) folders.push_back({version, root + mounts.front().folder});
}

}  // namespace

std::vector<CgroupFolder> CgroupFolders(const std::string& controller, const std::string& root) {
  std::ifstream file(root + "/proc/self/cgroup");
  std::vector<CgroupFolder> folders;
  for (std::string line; std::getline(file, line);) {  // hierarchy:controllers:group
    const std::vector<std::string> fields = absl::StrSplit(line, absl::MaxSplits(':', 2));
    if (fields.size() != 3) continue;
    if (fields[1].empty()) {
      AppendFolders(root, CgroupVersion::k2, controller, fields[2], folders);
    } else if (Lists(fields[1], controller)) {
      AppendFolders(root, CgroupVersion::k1, controller, fields[2], folders);
    }
  }
  return folders;
}

}  // namespace kandinsky
