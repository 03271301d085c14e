#pragma once

#include <map>
#include <string>
#include <vector>

namespace kandinsky {

// Path relative to the source root ("base/clock.h") and content of every C++ file of the project.
using SourceTree = std::map<std::string, std::string>;

// Reads the .h, .cc and .cpp files below `root`, build folders and hidden ones excepted.
SourceTree ReadSourceTree(const std::string& root);

// Reads the sources, scripts and documents below `root` that CheckSpelling judges: those of the folders whose
// spelling is American throughout.
SourceTree ReadSpelledTree(const std::string& root);

// Each returns one text per violation, beginning with "file:line: ".

// The layer table of ARCHITECTURE.md: which project folders and which guarded libraries (torch, proto and
// gRPC, spdlog and fmt) a file may include.
std::vector<std::string> CheckLayers(const SourceTree& tree);

// No translation unit sees torch headers together with proto, gRPC, spdlog or fmt headers, also not through
// headers of the project.
std::vector<std::string> CheckTorchApart(const SourceTree& tree);

// At most 400 lines a source file, 150 a header, 800 a test.
std::vector<std::string> CheckSizes(const SourceTree& tree);

// No file or folder is called utils, common or the like.
std::vector<std::string> CheckNames(const SourceTree& tree);

// No word has one of the British spellings that CONTRIBUTING.md lists.
std::vector<std::string> CheckSpelling(const SourceTree& tree);

}  // namespace kandinsky
