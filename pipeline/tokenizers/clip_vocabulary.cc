#include "pipeline/tokenizers/clip_vocabulary.h"

namespace kandinsky {
namespace {

bool StandsForItself(int byte) {
  return (byte >= '!' && byte <= '~') || (byte >= 0xA1 && byte <= 0xAC) || (byte >= 0xAE && byte <= 0xFF);
}

// `code_point` < U+0800.
std::string ToUtf8(int code_point) {
  if (code_point < 0x80) return std::string(1, static_cast<char>(code_point));
  return {static_cast<char>(0xC0 | code_point >> 6), static_cast<char>(0x80 | (code_point & 0x3F))};
}

std::array<std::string, 256> MakeByteSymbols() {
  std::array<std::string, 256> symbols;
  int moved = 0;
  for (int byte = 0; byte < 256; ++byte) {
    symbols[static_cast<size_t>(byte)] = ToUtf8(StandsForItself(byte) ? byte : 0x100 + moved++);
  }
  return symbols;
}

}  // namespace

const std::array<std::string, 256>& ByteSymbols() {
  static const auto* const kSymbols = new std::array<std::string, 256>(MakeByteSymbols());
  return *kSymbols;
}

std::vector<std::string> MakeClipVocabulary(const std::vector<Merge>& merges) {
  std::vector<std::string> tokens;
  tokens.reserve(size_t{2} * 256 + merges.size() + 2);
  for (const bool itself : {true, false}) {
    for (int byte = 0; byte < 256; ++byte) {
      if (StandsForItself(byte) == itself) tokens.push_back(ByteSymbols()[static_cast<size_t>(byte)]);
    }
  }
  for (size_t i = 0; i < 256; ++i) tokens.push_back(tokens[i] + kEndOfWord);
  for (const Merge& merge : merges) tokens.push_back(merge.first + merge.second);
  tokens.push_back("<|startoftext|>");
  tokens.push_back("<|endoftext|>");
  return tokens;
}

}  // namespace kandinsky
