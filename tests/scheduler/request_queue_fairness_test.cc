// What RequestQueue promises its clients: even shares of device time, and a bound on every wait.
#include <gtest/gtest.h>

#include <algorithm>
#include <map>
#include <random>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "scheduler/request_queue.h"

#include "tests/scheduler/strict_key.h"

namespace kandinsky {
namespace {

constexpr absl::Duration kAgeing = absl::Seconds(30);
const absl::Time kStart = absl::UnixEpoch() + absl::Hours(1);

// Clients that always have requests waiting, and the device time that each has had.
class BusyClients {
 public:
  struct Client {
    size_t backlog = 1;        // requests that always wait
    int most_images = 1;       // of a request, 1..most
    int cheapest_seconds = 1;  // of an image
    int dearest_seconds = 1;
    absl::Duration served = {};  // device time so far
  };

  BusyClients(std::vector<Client> clients, unsigned seed) : clients_(std::move(clients)), random_(seed) {
    Refill();
  }

  // Books an image and returns the index of its client.
  size_t Book(const TakenImage& image) {
    auto& [client, request, left] = waiting_.at(image.number);
    const size_t index = client;
    clients_[index].served += request.image_cost;
    if (--left == 0) waiting_.erase(image.number);
    return index;
  }

  // Replaces what was taken.
  void Refill() {
    std::vector<size_t> backlogs(clients_.size());
    for (const auto& [number, entry] : waiting_) ++backlogs[entry.client];
    for (size_t i = 0; i < clients_.size(); ++i) {
      for (; backlogs[i] < clients_[i].backlog; ++backlogs[i]) Push(i);
    }
  }

  absl::Duration Spread() const {
    const auto [least, most] =
        std::minmax_element(clients_.begin(), clients_.end(),
                            [](const Client& a, const Client& b) { return a.served < b.served; });
    return most->served - least->served;
  }

  RequestQueue& queue() { return queue_; }
  const std::vector<Client>& clients() const { return clients_; }

 private:
  struct Entry {
    size_t client = 0;
    QueuedRequest request;
    int left = 0;
  };

  int Draw(int least, int most) {
    return least + static_cast<int>(random_() % static_cast<unsigned>(most - least + 1));
  }

  void Push(size_t index) {
    const Client& client = clients_[index];
    QueuedRequest request;
    request.number = ++last_number_;
    request.client = absl::StrCat("client-", index);
    request.arrival = kStart;
    request.images = Draw(1, client.most_images);
    request.image_cost = absl::Seconds(Draw(client.cheapest_seconds, client.dearest_seconds));
    request.key = StrictKey(static_cast<int>(index));  // strict batches have one client
    queue_.Push(request);
    waiting_[request.number] = {index, request, request.images};
  }

  std::vector<Client> clients_;
  std::mt19937 random_;
  RequestQueue queue_{kAgeing};
  std::map<RequestNumber, Entry> waiting_;
  RequestNumber last_number_ = 0;
};

TEST(RequestQueueFairnessTest, TwoBusyClientsGetTimeEqualWithinOneLargestCostAfterEveryRound) {
  for (unsigned seed = 0; seed < 20; ++seed) {
    // One has many small images waiting, the other few and dear ones.
    BusyClients load({{.backlog = 40, .most_images = 4, .cheapest_seconds = 1, .dearest_seconds = 3},
                      {.backlog = 2, .cheapest_seconds = 5, .dearest_seconds = 20}},
                     seed);
    size_t last = 0;
    for (int image = 0; image < 5000; ++image) {
      const TakenImage taken = load.queue().Take(1, kStart).front();
      const absl::Duration spread = load.Spread();
      const size_t client = load.Book(taken);
      // A round ends where the turn goes back from the second to the first.
      if (client == 0 && last == 1) {
        ASSERT_LT(spread, absl::Seconds(20));
      }
      ASSERT_LT(load.Spread(), 2 * absl::Seconds(20));
      last = client;
      load.Refill();
    }
  }
}

TEST(RequestQueueFairnessTest, ManyBusyClientsStayWithinTwoLargestCosts) {
  for (unsigned seed = 0; seed < 20; ++seed) {
    std::vector<BusyClients::Client> clients;
    for (int i = 0; i < 12; ++i) {
      clients.push_back({.backlog = static_cast<size_t>(1 + 7 * (i % 4)),
                         .most_images = 1 + i % 3,
                         .cheapest_seconds = 1,
                         .dearest_seconds = 1 + 2 * i});
      clients.back().backlog += 1;  // one that is taken is never the last
    }
    BusyClients load(clients, seed);
    for (int image = 0; image < 5000; ++image) {
      load.Book(load.queue().Take(1, kStart).front());
      load.Refill();
      ASSERT_LT(load.Spread(), 2 * absl::Seconds(23));
    }
  }
}

TEST(RequestQueueFairnessTest, StrictBatchesOfBusyClientsStayWithinTwoLargestBatches) {
  BusyClients load({{.backlog = 30, .cheapest_seconds = 1, .dearest_seconds = 2},
                    {.backlog = 12, .cheapest_seconds = 4, .dearest_seconds = 9},
                    {.backlog = 9, .cheapest_seconds = 1, .dearest_seconds = 9}},
                   5);
  absl::Time ready_at;
  for (int batch = 0; batch < 3000; ++batch) {
    for (const TakenImage& image : load.queue().TakeBatch({.max_rows = 8}, kStart, ready_at))
      load.Book(image);
    load.Refill();
    ASSERT_LT(load.Spread(), 2 * 8 * absl::Seconds(9));
  }
}

// Clients that push a request of high priority for every image that is taken, beside one low request.
void ExpectServedInTime(int clients, int dearest_seconds, bool same_client) {
  RequestQueue queue(kAgeing);
  std::mt19937 random(static_cast<unsigned>(clients));
  absl::Time now = kStart;
  RequestNumber number = 0;
  const auto push = [&](const std::string& client, Priority priority) {
    QueuedRequest request;
    request.number = ++number;
    request.client = client;
    request.priority = priority;
    request.arrival = now;
    request.image_cost =
        absl::Seconds(1 + static_cast<int>(random() % static_cast<unsigned>(dearest_seconds)));
    queue.Push(request);
  };
  const auto name = [](int client) { return absl::StrCat("client-", client); };
  for (int client = 0; client < clients; ++client) {
    for (int i = 0; i < 5; ++i) push(name(client), Priority::kHigh);
  }
  push(same_client ? name(0) : "patient", Priority::kLow);
  const RequestNumber patient = number;
  // Two ageing times, then at most one round that has begun and one more, in which a client has less than
  // twice the dearest image each; with older ones of its own client two rounds more for each of those.
  const int rounds = same_client ? 2 + 2 * 5 : 2;
  const absl::Time bound = kStart + 2 * kAgeing + rounds * (clients + 1) * 2 * absl::Seconds(dearest_seconds);
  while (true) {
    const TakenImage taken = queue.Take(1, now).front();
    if (taken.number == patient) break;
    now += absl::Seconds(1);  // the cheapest image: the most others come before the bound
    ASSERT_LT(now, bound);
    for (int client = 0; client < clients; ++client) push(name(client), Priority::kHigh);
  }
  EXPECT_GE(now, kStart + kAgeing) << "the others should have kept it waiting";
}

TEST(RequestQueueFairnessTest, ALowRequestIsServedInBoundedTimeBesideEndlessHighOnes) {
  for (const int clients : {1, 3, 20}) {
    ExpectServedInTime(clients, 1, false);
    ExpectServedInTime(clients, 9, false);
  }
}

TEST(RequestQueueFairnessTest, ALowRequestIsServedInBoundedTimeBesideEndlessHighOnesOfItsOwnClient) {
  for (const int clients : {1, 3, 20}) {
    ExpectServedInTime(clients, 1, true);
    ExpectServedInTime(clients, 9, true);
  }
}

}  // namespace
}  // namespace kandinsky
