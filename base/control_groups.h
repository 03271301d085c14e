#pragma once

#include <string>
#include <vector>

namespace kandinsky {

// The two interfaces of the kernel's control groups; both may be mounted at once, each with its own
// controllers.
enum class CgroupVersion { k1, k2 };

// A folder with the files of one control group.
struct CgroupFolder {
  CgroupVersion version = CgroupVersion::k2;
  std::string path = {};
};

// Returns the folders of the groups that bound this process for `controller` ("cpu", "memory"): its own group
// and the parents that it can see, in both versions. A folder may lack the controller's files, and may not
// exist: in a container the path may be the host's, and then only the mount's own folder is there.
//
// Reads proc/self/cgroup and proc/self/mountinfo in `root`; the paths begin with `root`.
std::vector<CgroupFolder> CgroupFolders(const std::string& controller, const std::string& root = "");

}  // namespace kandinsky
