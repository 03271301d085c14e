// kandinsky-make-tiny-model OUTPUT_DIR [--seed N] [--network NAME]: writes a small random Kandinsky 2.2 model
// for demonstrations and tests. Exit codes: 0 written, 1 failed, 2 wrong arguments.

#include <cstdint>
#include <iostream>
#include <map>
#include <string>

#include "absl/strings/numbers.h"
#include "tools/tiny_model.h"

namespace {

constexpr char kUsage[] =
    "usage: kandinsky-make-tiny-model OUTPUT_DIR [--seed N] [--network NAME]\n"
    "Writes a small Kandinsky 2.2 model with random weights to OUTPUT_DIR/prior and OUTPUT_DIR/decoder.\n"
    "  --seed N  seed of the weights, 0 to 2^64 - 1 (default 2022); the same seed gives the same files\n"
    "  --network NAME  decoder (default), inpaint or controlnet_depth; they share the prior of their seed\n";

const std::map<std::string, kandinsky::TinyNetwork> kNetworks = {
    {"decoder", kandinsky::TinyNetwork::kDecoder},
    {"inpaint", kandinsky::TinyNetwork::kInpaint},
    {"controlnet_depth", kandinsky::TinyNetwork::kControlNetDepth}};

struct Arguments {
  std::string output;
  uint64_t seed = 2022;
  kandinsky::TinyNetwork network = kandinsky::TinyNetwork::kDecoder;
};

bool Parse(int argc, char** argv, Arguments& arguments) {
  for (int i = 1; i < argc; ++i) {
    const std::string argument = argv[i];
    if (argument == "--seed") {
      if (++i == argc || !absl::SimpleAtoi(argv[i], &arguments.seed)) return false;
    } else if (argument == "--network") {
      const auto network = ++i == argc ? kNetworks.end() : kNetworks.find(argv[i]);
      if (network == kNetworks.end()) return false;
      arguments.network = network->second;
    } else if (argument.empty() || argument[0] == '-' || !arguments.output.empty()) {
      return false;
    } else {
      arguments.output = argument;
    }
  }
  return !arguments.output.empty();
}

}  // namespace

int main(int argc, char** argv) {
  if (argc == 2 && (std::string(argv[1]) == "--help" || std::string(argv[1]) == "-h")) {
    std::cout << kUsage;
    return 0;
  }
  Arguments arguments;
  if (!Parse(argc, argv, arguments)) {
    std::cerr << kUsage;
    return 2;
  }
  if (const absl::Status status =
          kandinsky::WriteTinyModel(arguments.output, arguments.seed, arguments.network);
      !status.ok()) {
    std::cerr << status.message() << "\n";
    return 1;
  }
  return 0;
}
