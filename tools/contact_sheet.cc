// kandinsky-contact-sheet OUTPUT.png [--columns N] [--tile PIXELS] IMAGE...: puts images together in
// rows. Exit codes: 0 written, 1 failed, 2 wrong arguments.

#include <iostream>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/types/span.h"
#include "base/mapped_file.h"
#include "base/status_macros.h"
#include "imaging/contact_sheet.h"
#include "imaging/encoded_image.h"
#include "imaging/png.h"

namespace {

constexpr char kUsage[] =
    "usage: kandinsky-contact-sheet OUTPUT.png [--columns N] [--tile PIXELS] IMAGE...\n"
    "Puts images (PNG, JPEG, WebP) together in rows, in the order given.\n"
    "  --columns N    images in a row (default 4)\n"
    "  --tile PIXELS  edge of the square that each is scaled to fit (default 128)\n";
constexpr int kPngLevel = 9;

struct Arguments {
  std::string output;
  std::vector<std::string> images;
  kandinsky::ContactSheetOptions options;
};

bool Parse(int argc, char** argv, Arguments& arguments) {
  for (int i = 1; i < argc; ++i) {
    const std::string argument = argv[i];
    if (argument == "--columns" || argument == "--tile") {
      int& value = argument == "--columns" ? arguments.options.columns : arguments.options.tile;
      if (++i == argc || !absl::SimpleAtoi(argv[i], &value)) return false;
    } else if (argument.empty() || argument[0] == '-') {
      return false;
    } else if (arguments.output.empty()) {
      arguments.output = argument;
    } else {
      arguments.images.push_back(argument);
    }
  }
  return !arguments.images.empty();
}

absl::Status Run(const Arguments& arguments) {
  std::vector<kandinsky::Image> images;
  images.reserve(arguments.images.size());
  for (const std::string& path : arguments.images) {
    ASSIGN_OR_RETURN(const std::string bytes,
                     kandinsky::ReadFile(path, kandinsky::DecodeLimits{}.max_encoded_bytes));
    absl::StatusOr<kandinsky::Image> image = kandinsky::DecodeImage(bytes);
    if (!image.ok()) return absl::InvalidArgumentError(absl::StrCat(path, ": ", image.status().message()));
    images.push_back(*std::move(image));
  }
  ASSIGN_OR_RETURN(const kandinsky::Image sheet, kandinsky::MakeContactSheet(images, arguments.options));
  ASSIGN_OR_RETURN(const std::string png,
                   kandinsky::EncodePng(sheet, {.compression_level = kPngLevel, .text = {}}));
  return kandinsky::WriteFileAtomically(arguments.output, absl::MakeConstSpan(png));
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
  if (const absl::Status status = Run(arguments); !status.ok()) {
    std::cerr << status.message() << "\n";
    return 1;
  }
  return 0;
}
