#include "pipeline/tokenizers/clip_tokenizer.h"

#include <algorithm>
#include <utility>

#include "absl/status/status.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "base/status_macros.h"
#include "pipeline/tokenizers/clip_text.h"

namespace kandinsky {
namespace {

std::vector<AddedToken> RawTokens(const std::vector<AddedToken>& tokens) {
  std::vector<AddedToken> raw;
  for (const AddedToken& token : tokens) {
    if (!token.normalized) raw.push_back(token);
  }
  return raw;
}

// Those to be found in normalized text; their names are normalized, too.
std::vector<AddedToken> NormalizedTokens(const std::vector<AddedToken>& tokens) {
  std::vector<AddedToken> normalized;
  for (AddedToken token : tokens) {
    if (!token.normalized) continue;
    token.content = NormalizeClipText(token.content);
    normalized.push_back(std::move(token));
  }
  return normalized;
}

}  // namespace

ClipTokenizer::Matcher::Matcher(std::vector<AddedToken> tokens) : tokens_(std::move(tokens)) {
  std::sort(tokens_.begin(), tokens_.end(),
            [](const AddedToken& a, const AddedToken& b) { return a.content.size() > b.content.size(); });
  for (const AddedToken& token : tokens_) starts_token_[static_cast<uint8_t>(token.content.front())] = true;
}

ClipTokenizer::Matcher::Match ClipTokenizer::Matcher::FindNext(absl::string_view text, size_t from) const {
  for (size_t begin = from; begin < text.size(); ++begin) {
    if (!starts_token_[static_cast<uint8_t>(text[begin])]) continue;
    for (const AddedToken& token : tokens_) {
      if (absl::StartsWith(text.substr(begin), token.content)) {
        return {begin, begin + token.content.size(), token.id};
      }
    }
  }
  return {absl::string_view::npos, absl::string_view::npos, 0};
}

ClipTokenizer::ClipTokenizer(const ClipTokenizerFiles& files, BytePairEncoder encoder)
    : encoder_(std::move(encoder)),
      raw_matcher_(RawTokens(files.added_tokens)),
      normalized_matcher_(NormalizedTokens(files.added_tokens)),
      begin_id_(files.begin_id),
      end_id_(files.end_id),
      pad_id_(files.pad_id),
      max_length_(files.max_length) {
  for (const auto& [token, id] : files.vocabulary) vocabulary_size_ = std::max(vocabulary_size_, id + 1);
  for (const AddedToken& token : files.added_tokens)
    vocabulary_size_ = std::max(vocabulary_size_, token.id + 1);
}

absl::StatusOr<std::shared_ptr<const ClipTokenizer>> ClipTokenizer::Load(const std::string& folder) {
  ASSIGN_OR_RETURN(const ClipTokenizerFiles files, ReadClipTokenizerFiles(folder));
  absl::StatusOr<BytePairEncoder> encoder =
      BytePairEncoder::Create(files.vocabulary, files.merges, files.unknown_id);
  if (!encoder.ok()) {
    return absl::Status(encoder.status().code(), absl::StrCat(folder, ": ", encoder.status().message()));
  }
  return std::shared_ptr<const ClipTokenizer>(new ClipTokenizer(files, *std::move(encoder)));
}

TextTokens ClipTokenizer::Encode(absl::string_view utf8) const {
  TextTokens tokens;
  tokens.ids.push_back(begin_id_);
  AppendRawText(utf8, tokens.ids);
  tokens.total_tokens = static_cast<int>(tokens.ids.size()) + 1;
  tokens.kept = std::min(tokens.total_tokens, max_length_);
  tokens.ids.resize(static_cast<size_t>(tokens.kept) - 1);
  tokens.ids.push_back(end_id_);
  tokens.ids.resize(static_cast<size_t>(max_length_), pad_id_);
  tokens.mask.assign(static_cast<size_t>(tokens.kept), 1);
  tokens.mask.resize(static_cast<size_t>(max_length_), 0);
  return tokens;
}

void ClipTokenizer::AppendRawText(absl::string_view text, std::vector<int64_t>& ids) const {
  for (size_t offset = 0; offset < text.size();) {
    const Matcher::Match match = raw_matcher_.FindNext(text, offset);
    const size_t end = std::min(match.begin, text.size());
    AppendNormalizedText(NormalizeClipText(text.substr(offset, end - offset)), ids);
    if (end == text.size()) return;
    ids.push_back(match.id);
    offset = match.end;
  }
}

void ClipTokenizer::AppendNormalizedText(absl::string_view text, std::vector<int64_t>& ids) const {
  for (size_t offset = 0; offset < text.size();) {
    const Matcher::Match match = normalized_matcher_.FindNext(text, offset);
    const size_t end = std::min(match.begin, text.size());
    AppendWords(text.substr(offset, end - offset), ids);
    if (end == text.size()) return;
    ids.push_back(match.id);
    offset = match.end;
  }
}

void ClipTokenizer::AppendWords(absl::string_view text, std::vector<int64_t>& ids) const {
  ForEachClipWord(text, [&](absl::string_view word) { encoder_.EncodeWord(word, ids); });
}

}  // namespace kandinsky
