#include "pipeline/tokenizers/byte_pair_encoder.h"

#include <functional>
#include <queue>
#include <tuple>
#include <utility>

#include "absl/status/status.h"
#include "absl/strings/escaping.h"
#include "absl/strings/str_cat.h"

namespace kandinsky {

// A word while its symbols merge: a doubly linked list in an array, and the possible merges by rank, then
// position (leftmost first).
class BytePairEncoder::Word {
 public:
  Word(const MergeRules& rules, std::vector<int64_t> symbols) : rules_(rules) {
    const int size = static_cast<int>(symbols.size());
    nodes_.reserve(symbols.size());
    for (int i = 0; i < size; ++i) {
      nodes_.push_back({symbols[static_cast<size_t>(i)], i - 1, i + 1 < size ? i + 1 : kNone});
    }
    for (int i = 0; i + 1 < size; ++i) Consider(i);
  }

  // Returns the number of candidates looked at.
  size_t MergeAll() {
    size_t looked_at = 0;
    for (; !candidates_.empty(); ++looked_at) {
      const Candidate candidate = candidates_.top();
      candidates_.pop();
      if (IsCurrent(candidate)) Apply(candidate);
    }
    return looked_at;
  }

  void AppendTo(std::vector<int64_t>& ids) const {
    for (int i = 0; i != kNone; i = at(i).next) ids.push_back(at(i).id);
  }

 private:
  static constexpr int kNone = -1;
  static constexpr int64_t kMergedAway = -1;

  struct Node {
    int64_t id;
    int previous;
    int next;
  };
  struct Candidate {
    int32_t rank;
    int position;  // of the left symbol
    int64_t merged_id;
    bool operator>(const Candidate& other) const {
      return std::tie(rank, position) > std::tie(other.rank, other.position);
    }
  };

  Node& at(int i) { return nodes_[static_cast<size_t>(i)]; }
  const Node& at(int i) const { return nodes_[static_cast<size_t>(i)]; }

  const MergeRule* RuleAt(int left) const {
    if (left == kNone || at(left).id == kMergedAway || at(left).next == kNone) return nullptr;
    const auto found = rules_.find({at(left).id, at(at(left).next).id});
    return found == rules_.end() ? nullptr : &found->second;
  }
  void Consider(int left) {
    if (const MergeRule* rule = RuleAt(left)) candidates_.push({rule->rank, left, rule->merged_id});
  }
  // False when one of the two symbols has merged with another neighbor since.
  bool IsCurrent(const Candidate& candidate) const {
    const MergeRule* rule = RuleAt(candidate.position);
    return rule != nullptr && rule->merged_id == candidate.merged_id;
  }
  void Apply(const Candidate& candidate) {
    Node& left = at(candidate.position);
    Node& right = at(left.next);
    left.id = candidate.merged_id;
    left.next = right.next;
    if (left.next != kNone) at(left.next).previous = candidate.position;
    right.id = kMergedAway;
    Consider(left.previous);
    Consider(candidate.position);
  }

  const MergeRules& rules_;
  std::vector<Node> nodes_;
  std::priority_queue<Candidate, std::vector<Candidate>, std::greater<>> candidates_;
};

absl::StatusOr<BytePairEncoder> BytePairEncoder::Create(const Vocabulary& vocabulary,
                                                        const std::vector<Merge>& merges,
                                                        int64_t unknown_id) {
  BytePairEncoder encoder;
  const auto find = [&vocabulary](const std::string& token, int64_t otherwise) {
    const auto found = vocabulary.find(token);
    return found == vocabulary.end() ? otherwise : found->second;
  };
  for (size_t byte = 0; byte < 256; ++byte) {
    encoder.byte_ids_[byte] = find(ByteSymbols()[byte], unknown_id);
    encoder.last_byte_ids_[byte] = find(ByteSymbols()[byte] + kEndOfWord, unknown_id);
  }
  encoder.rules_.reserve(merges.size());
  for (size_t rank = 0; rank < merges.size(); ++rank) {
    const auto& [left, right] = merges[rank];
    const std::pair<int64_t, int64_t> pair = {find(left, -1), find(right, -1)};
    const int64_t merged = find(left + right, -1);
    if (pair.first < 0 || pair.second < 0 || merged < 0) {
      return absl::InvalidArgumentError(absl::StrCat(
          "merge ", rank, " \"", absl::CHexEscape(left.substr(0, 40)), " ",
          absl::CHexEscape(right.substr(0, 40)), "\" uses a token that is not in the vocabulary"));
    }
    encoder.rules_[pair] = {static_cast<int32_t>(rank), merged};
  }
  return encoder;
}

size_t BytePairEncoder::EncodeWord(absl::string_view word, std::vector<int64_t>& ids) const {
  std::vector<int64_t> symbols;
  symbols.reserve(word.size());
  for (const char c : word) symbols.push_back(byte_ids_[static_cast<uint8_t>(c)]);
  symbols.back() = last_byte_ids_[static_cast<uint8_t>(word.back())];
  Word merging(rules_, std::move(symbols));
  const size_t looked_at = merging.MergeAll();
  merging.AppendTo(ids);
  return looked_at;
}

}  // namespace kandinsky
