// Properties of RequestQueue under random workloads.
#include <gtest/gtest.h>

#include <algorithm>
#include <array>
#include <iterator>
#include <map>
#include <optional>
#include <random>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "scheduler/request_queue.h"

#include "tests/scheduler/strict_key.h"

namespace kandinsky {
namespace {

constexpr absl::Duration kAgeing = absl::Seconds(30);

// A queue, random requests for it, and a plain record of what must be in it.
class Workload {
 public:
  explicit Workload(unsigned seed) : random_(seed) {}

  int Draw(int below) { return static_cast<int>(random_() % static_cast<unsigned>(below)); }

  QueuedRequest Make() {
    QueuedRequest request;
    request.number = ++last_number_;
    request.client = absl::StrCat("client-", Draw(5));
    request.priority = static_cast<Priority>(Draw(3));
    // Some arrive out of order, as requests of several threads may.
    request.arrival = now - absl::Seconds(Draw(4) == 0 ? Draw(100) : 0);
    request.images = 1 + Draw(4);
    request.image_cost = absl::Milliseconds(Draw(4) == 0 ? 0 : Draw(20000));
    request.key = StrictKey(64 * Draw(4));
    return request;
  }

  void Push(const QueuedRequest& request) {
    queue.Push(request);
    waiting[request.number] = {request, 0};
  }

  // Books images that left the queue: each once, in order, of a request that waits.
  void Book(const std::vector<TakenImage>& images) {
    for (const TakenImage& image : images) {
      const auto found = waiting.find(image.number);
      ASSERT_NE(found, waiting.end());
      auto& [request, taken] = found->second;
      ASSERT_EQ(image.image_index, taken);
      if (++taken == request.images) waiting.erase(found);
    }
  }

  void PushSome() {
    for (int i = Draw(4); i > 0 && waiting.size() < most_waiting_; --i) Push(Make());
    if (Draw(100) == 0) most_waiting_ = 1 + static_cast<size_t>(Draw(60));
  }

  void RemoveSome() {
    if (Draw(4) > 0) return;
    const RequestNumber number = 1 + static_cast<RequestNumber>(Draw(static_cast<int>(last_number_) + 1));
    ASSERT_EQ(queue.Remove(number), waiting.erase(number) == 1);
  }

  void TakeSome() { Book(queue.Take(static_cast<size_t>(Draw(6)), now)); }

  void PassTime() {
    if (Draw(3) == 0) now += absl::Milliseconds(Draw(10000));
  }

  size_t images() const {
    size_t sum = 0;
    for (const auto& [number, entry] : waiting) {
      sum += static_cast<size_t>(entry.first.images - entry.second);
    }
    return sum;
  }

  absl::Time now = absl::UnixEpoch() + absl::Hours(1);
  RequestQueue queue{kAgeing};
  std::map<RequestNumber, std::pair<QueuedRequest, int>> waiting;  // with the images that were taken

 private:
  std::mt19937 random_;
  size_t most_waiting_ = 30;  // changes now and then, so that the queue fills and empties
  RequestNumber last_number_ = 0;
};

TEST(RequestQueuePropertyTest, NoImageIsLostOrTakenTwiceAndCountsAgree) {
  Workload load(1);
  for (int round = 0; round < 20000; ++round) {
    load.PassTime();
    load.PushSome();
    load.RemoveSome();
    const size_t room = static_cast<size_t>(load.Draw(8));
    const size_t expected = std::min(room, load.images());
    const std::vector<TakenImage> taken = load.queue.Take(room, load.now);
    ASSERT_EQ(taken.size(), expected);
    ASSERT_NO_FATAL_FAILURE(load.Book(taken));
    ASSERT_EQ(load.queue.images(), load.images());
    ASSERT_EQ(load.queue.requests(), load.waiting.size());
    std::array<size_t, kPriorities> depths = {};
    absl::Time oldest = absl::InfiniteFuture();
    for (const auto& [number, entry] : load.waiting) {
      ++depths[static_cast<size_t>(entry.first.priority)];
      oldest = std::min(oldest, entry.first.arrival);
    }
    for (size_t i = 0; i < kPriorities; ++i) {
      ASSERT_EQ(load.queue.depth(static_cast<Priority>(i)), depths[i]);
    }
    ASSERT_EQ(load.queue.oldest_arrival(), oldest);
  }
  ASSERT_NO_FATAL_FAILURE(load.Book(load.queue.Take(load.images(), load.now)));
  EXPECT_TRUE(load.waiting.empty());
}

// The requests of `images` in the order of their first images there.
std::vector<RequestNumber> FirstImages(const std::vector<TakenImage>& images) {
  std::vector<RequestNumber> numbers;
  std::set<RequestNumber> seen;
  for (const TakenImage& image : images) {
    if (seen.insert(image.number).second) numbers.push_back(image.number);
  }
  return numbers;
}

TEST(RequestQueuePropertyTest, OrderForetellsWhatTakeDoes) {
  Workload load(2);
  for (int round = 0; round < 5000; ++round) {
    load.PassTime();
    load.PushSome();
    ASSERT_NO_FATAL_FAILURE(load.RemoveSome());
    const std::vector<RequestNumber> order = load.queue.Order(load.now);
    RequestQueue at_once = load.queue;
    ASSERT_EQ(order, FirstImages(at_once.Take(load.images(), load.now)));
    RequestQueue one_by_one = load.queue;
    std::vector<TakenImage> images;
    while (one_by_one.images() > 0) images.push_back(one_by_one.Take(1, load.now).front());
    ASSERT_EQ(order, FirstImages(images));
    ASSERT_NO_FATAL_FAILURE(load.TakeSome());
  }
}

TEST(RequestQueuePropertyTest, AheadAreExactlyThoseThatAPushedRequestWaitsFor) {
  Workload load(3);
  for (int round = 0; round < 5000; ++round) {
    load.PassTime();
    load.PushSome();
    ASSERT_NO_FATAL_FAILURE(load.RemoveSome());
    const QueuedRequest newcomer = load.Make();
    const std::vector<RequestNumber> ahead = load.queue.Ahead(newcomer, load.now);
    RequestQueue pushed = load.queue;
    pushed.Push(newcomer);
    std::vector<RequestNumber> served = FirstImages(pushed.Take(pushed.images(), load.now));
    served.erase(std::find(served.begin(), served.end(), newcomer.number), served.end());
    ASSERT_EQ(ahead, served);
    ASSERT_NO_FATAL_FAILURE(load.TakeSome());
  }
}

TEST(RequestQueuePropertyTest, PriorityComesFirstAndAClientIsServedInOrderOfArrival) {
  Workload load(4);
  const auto level = [&](const QueuedRequest& request) {
    const int lifts = static_cast<int>(std::min<int64_t>(2, (load.now - request.arrival) / kAgeing));
    return std::min(2, static_cast<int>(request.priority) + lifts);
  };
  for (int round = 0; round < 10000; ++round) {
    load.PassTime();
    load.PushSome();
    ASSERT_NO_FATAL_FAILURE(load.RemoveSome());
    const std::vector<TakenImage> taken = load.queue.Take(1, load.now);
    if (taken.empty()) continue;
    const QueuedRequest& chosen = load.waiting.at(taken.front().number).first;
    for (const auto& [number, entry] : load.waiting) {
      const QueuedRequest& other = entry.first;
      ASSERT_GE(level(chosen), level(other));
      if (other.client == chosen.client && level(other) == level(chosen)) {
        ASSERT_LE(std::pair(chosen.arrival, chosen.number), std::pair(other.arrival, other.number));
      }
    }
    ASSERT_NO_FATAL_FAILURE(load.Book(taken));
  }
}

TEST(RequestQueuePropertyTest, RemoveLeavesAClientsOthersInTheirOrder) {
  Workload load(5);
  for (int round = 0; round < 3000; ++round) {
    load.PassTime();
    load.PushSome();
    if (!load.waiting.empty()) {
      auto victim = load.waiting.begin();
      std::advance(victim, load.Draw(static_cast<int>(load.waiting.size())));
      // By client and priority the order is that of before without the one that went.
      const auto by_line = [&](const std::vector<RequestNumber>& order) {
        std::map<std::pair<std::string, Priority>, std::vector<RequestNumber>> lines;
        for (const RequestNumber number : order) {
          const QueuedRequest& request = load.waiting.at(number).first;
          if (number == victim->first) continue;
          lines[{request.client, request.priority}].push_back(number);
        }
        return lines;
      };
      const auto before = by_line(load.queue.Order(load.now));
      ASSERT_TRUE(load.queue.Remove(victim->first));
      ASSERT_EQ(by_line(load.queue.Order(load.now)), before);
      load.waiting.erase(victim);
    }
    ASSERT_NO_FATAL_FAILURE(load.TakeSome());
  }
}

TEST(RequestQueuePropertyTest, StrictBatchesAreReadyOfOneKeyAndInOrderOfService) {
  Workload load(6);
  int batches = 0;
  for (int round = 0; round < 10000; ++round) {
    load.PassTime();
    if (load.Draw(2) == 0) load.PushSome();
    ASSERT_NO_FATAL_FAILURE(load.RemoveSome());
    const RequestQueue::BatchRule rule = {.max_rows = 1 + static_cast<size_t>(load.Draw(8)),
                                          .preferred_rows = 1 + static_cast<size_t>(load.Draw(10)),
                                          .delay = absl::Seconds(load.Draw(20))};
    std::map<int, std::pair<size_t, absl::Time>> groups;  // images and longest waiting arrival by width
    for (const auto& [number, entry] : load.waiting) {
      const auto& [request, taken] = entry;
      auto& [images, oldest] = groups.try_emplace(WidthOf(request), 0, absl::InfiniteFuture()).first->second;
      images += static_cast<size_t>(request.images - taken);
      oldest = std::min(oldest, request.arrival);
    }
    absl::Time next = absl::InfiniteFuture();
    std::set<int> ready;
    for (const auto& [width, group] : groups) {
      const bool enough = group.first >= std::min(rule.max_rows, rule.preferred_rows);
      if (enough || group.second + rule.delay <= load.now) ready.insert(width);
      next = std::min(next, group.second + rule.delay);
    }
    RequestQueue copy = load.queue;
    std::vector<TakenImage> expected;
    for (const TakenImage& image : copy.Take(copy.images(), load.now)) {
      const int width = WidthOf(load.waiting.at(image.number).first);
      if (!ready.contains(width) || expected.size() == rule.max_rows) continue;
      if (expected.empty() || width == WidthOf(load.waiting.at(expected[0].number).first)) {
        expected.push_back(image);
      }
    }
    absl::Time ready_at;
    const std::vector<TakenImage> batch = load.queue.TakeBatch(rule, load.now, ready_at);
    ASSERT_EQ(batch, expected);
    if (batch.empty()) {
      ASSERT_EQ(ready_at, next);
      ASSERT_TRUE(load.waiting.empty() || ready_at > load.now);
    }
    batches += batch.empty() ? 0 : 1;
    ASSERT_NO_FATAL_FAILURE(load.Book(batch));
    ASSERT_EQ(load.queue.images(), load.images());
  }
  EXPECT_GT(batches, 1000);
}

TEST(RequestQueuePropertyTest, SheddingFreesAnUnbegunRequestOfALowerPriorityOrALargerShare) {
  Workload load(7);
  int shed = 0;
  for (int round = 0; round < 10000; ++round) {
    load.PassTime();
    load.PushSome();
    ASSERT_NO_FATAL_FAILURE(load.TakeSome());
    const QueuedRequest newcomer = load.Make();
    const std::optional<RequestNumber> number = load.queue.ShedFor(newcomer.client, newcomer.priority);
    std::map<std::pair<Priority, std::string>, int> shares;
    for (const auto& [other, entry] : load.waiting) {
      ++shares[{entry.first.priority, entry.first.client}];
    }
    const int own = shares[{newcomer.priority, newcomer.client}];
    for (const auto& [other, entry] : load.waiting) {
      const auto& [request, taken] = entry;
      const int share = shares[{request.priority, request.client}];
      const bool may_go = taken == 0 && (request.priority < newcomer.priority ||
                                         (request.priority == newcomer.priority && share >= own + 2));
      if (!number) {
        ASSERT_FALSE(may_go);
      } else if (other == *number) {
        ASSERT_TRUE(may_go);
      } else if (taken == 0) {
        // Nobody who has not begun stands lower, or as low with a larger share, or is newer beside it.
        const QueuedRequest& gone = load.waiting.at(*number).first;
        ASSERT_GE(request.priority, gone.priority);
        if (request.priority != gone.priority) continue;
        ASSERT_LE(share, (shares[{gone.priority, gone.client}]));
        if (request.client == gone.client) {
          ASSERT_LT(std::pair(request.arrival, request.number), std::pair(gone.arrival, gone.number));
        }
      }
    }
    if (number) {
      ++shed;
      ASSERT_TRUE(load.queue.Remove(*number));
      load.waiting.erase(*number);
    }
  }
  EXPECT_GT(shed, 1000);
}

}  // namespace
}  // namespace kandinsky
