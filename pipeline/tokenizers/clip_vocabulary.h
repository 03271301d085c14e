#pragma once

#include <array>
#include <string>
#include <utility>
#include <vector>

namespace kandinsky {

// The printable characters (UTF-8) that stand for the bytes 0..255 in byte-level vocabularies, as OpenAI's
// GPT-2 and CLIP define them: most of Latin-1 stands for itself, the rest is moved to U+0100 and up.
const std::array<std::string, 256>& ByteSymbols();

// Two symbols that become one.
using Merge = std::pair<std::string, std::string>;

// Marks a symbol as the end of its word.
inline constexpr char kEndOfWord[] = "</w>";

// The tokens of a CLIP vocabulary in id order, made from its merges as OpenAI's release does: byte symbols,
// the same with end-of-word mark, one token per merge, <|startoftext|>, <|endoftext|>. 48894 merges give the
// published 49408 tokens.
std::vector<std::string> MakeClipVocabulary(const std::vector<Merge>& merges);

}  // namespace kandinsky
