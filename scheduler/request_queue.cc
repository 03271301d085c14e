#include "scheduler/request_queue.h"

#include <algorithm>
#include <tuple>

namespace kandinsky {
namespace {

// Bounds of what an image counts as. Costs of zero (nothing is measured) thereby count alike, and sums stay
// far from overflow.
constexpr absl::Duration kLeastCost = absl::Microseconds(1);
constexpr absl::Duration kLargestCost = absl::Hours(24);

// The waiting images that may share a batch.
struct Group {
  size_t images = 0;
  absl::Time oldest = absl::InfiniteFuture();
  absl::Time ready_at;
};

Priority Above(Priority priority) { return static_cast<Priority>(static_cast<int>(priority) + 1); }

}  // namespace

StrictBatchKey StrictBatchKeyOf(const GenerationRequest& request, const Plan& plan) {
  StrictBatchKey key = {.guidance_scale = request.guidance_scale,
                        .prior_guidance_scale = request.prior_guidance_scale,
                        .sampler = request.sampler,
                        .eta = request.eta};
  key.steps.reserve(plan.phases.size());
  for (const PlannedPhase& phase : plan.phases) key.steps.emplace_back(phase.key, phase.steps);
  return key;
}

ServiceOrder::Request RequestQueue::Entry(const QueuedRequest& request, int client) const {
  return {.number = request.number,
          .client = client,
          .given = request.priority,
          .level = request.priority,
          .arrival = request.arrival,
          .image_cost = absl::ToInt64Nanoseconds(std::clamp(request.image_cost, kLeastCost, kLargestCost)),
          .images = request.images};
}

// When a request is lifted next; in the infinite future when it will not be.
RequestQueue::Lift RequestQueue::NextLift(const ServiceOrder::Request& request) const {
  if (request.level == Priority::kHigh) return {absl::InfiniteFuture(), request.number};
  const int lifts = static_cast<int>(request.level) + 1 - static_cast<int>(request.given);
  return {request.arrival + lifts * ageing_, request.number};
}

// Lifts those of `order` (a copy of order_, or itself) whose time has come, in the order of their times;
// `newcomer` is the place of one that only `order` knows, or none.
void RequestQueue::LiftDue(ServiceOrder& order, absl::Time now, int newcomer) const {
  std::vector<std::pair<Lift, int>> due;
  for (const Lift& lift : lifts_) {
    if (lift.first > now) break;
    due.emplace_back(lift, places_.at(lift.second));
  }
  if (newcomer != ServiceOrder::kNone) {
    const Lift lift = NextLift(order.request(newcomer));
    if (lift.first <= now)
      due.insert(std::upper_bound(due.begin(), due.end(), std::pair(lift, newcomer)), {lift, newcomer});
  }
  for (const auto& [lift, place] : due) {
    ServiceOrder::Request request = order.request(place);
    while (request.level < Priority::kHigh && NextLift(request).first <= now)
      request.level = Above(request.level);
    order.SetLevel(place, request.level);
  }
}

void RequestQueue::LiftDue(absl::Time now) {
  LiftDue(order_, now, ServiceOrder::kNone);
  while (!lifts_.empty() && lifts_.begin()->first <= now) {
    const ServiceOrder::Request& request = order_.request(places_.at(lifts_.begin()->second));
    lifts_.erase(lifts_.begin());
    if (request.level < Priority::kHigh) lifts_.insert(NextLift(request));
  }
}

void RequestQueue::Push(const QueuedRequest& request) {
  const auto [found, added] = client_numbers_.try_emplace(request.client, 0);
  if (added) {
    if (free_clients_.empty()) {
      free_clients_.push_back(static_cast<int>(clients_.size()));
      clients_.emplace_back();
    }
    found->second = free_clients_.back();
    free_clients_.pop_back();
    clients_[static_cast<size_t>(found->second)].name = request.client;
  }
  const size_t priority = static_cast<size_t>(request.priority);
  ++clients_[static_cast<size_t>(found->second)].waiting[priority];
  ++depths_[priority];
  images_ += static_cast<size_t>(request.images);

  const int place = order_.Add(Entry(request, found->second));
  places_.emplace(request.number, place);
  keys_.resize(order_.requests().size());
  keys_[static_cast<size_t>(place)] = request.key;
  if (const Lift lift = NextLift(order_.request(place)); lift.first < absl::InfiniteFuture()) {
    lifts_.insert(lift);
  }
}

// Books that an image of `place` was taken from order_.
TakenImage RequestQueue::Taken(int place) {
  const ServiceOrder::Request& request = order_.request(place);
  --images_;
  if (!request.waits()) Forget(place);
  return {request.number, request.next_image - 1};
}

// Books that nothing of `place` waits any longer.
void RequestQueue::Forget(int place) {
  const ServiceOrder::Request& request = order_.request(place);
  const size_t priority = static_cast<size_t>(request.given);
  places_.erase(request.number);
  lifts_.erase(NextLift(request));
  --depths_[priority];
  Client& client = clients_[static_cast<size_t>(request.client)];
  --client.waiting[priority];
  if (client.waiting != std::array<int, kPriorities>{}) return;
  client_numbers_.erase(client.name);
  free_clients_.push_back(request.client);
}

std::vector<TakenImage> RequestQueue::Take(size_t room, absl::Time now) {
  LiftDue(now);
  std::vector<TakenImage> taken(std::min(room, images_));
  for (TakenImage& image : taken) image = Taken(order_.TakeNext());
  return taken;
}

std::vector<TakenImage> RequestQueue::TakeBatch(const BatchRule& rule, absl::Time now, absl::Time& ready_at) {
  LiftDue(now);
  absl::flat_hash_map<StrictBatchKey, Group> groups;
  for (size_t place = 0; place < keys_.size(); ++place) {
    const ServiceOrder::Request& request = order_.requests()[place];
    if (!request.waits()) continue;
    Group& group = groups[keys_[place]];
    group.images += static_cast<size_t>(request.images - request.next_image);
    group.oldest = std::min(group.oldest, request.arrival);
  }
  ready_at = absl::InfiniteFuture();
  for (auto& [key, group] : groups) {
    const bool enough = group.images >= std::min(rule.preferred_rows, rule.max_rows);
    group.ready_at = enough ? now : group.oldest + rule.delay;
    ready_at = std::min(ready_at, group.ready_at);
  }
  std::vector<TakenImage> taken;
  if (groups.empty() || ready_at > now) return taken;

  ServiceOrder order = order_;
  int place = order.TakeNext();
  while (groups[keys_[static_cast<size_t>(place)]].ready_at > now) place = order.TakeNext();
  const StrictBatchKey key = keys_[static_cast<size_t>(place)];
  taken.resize(std::min(rule.max_rows, groups[key].images));
  for (TakenImage& image : taken) {
    while (keys_[static_cast<size_t>(place)] != key) place = order.TakeNext();
    order_.Take(place);
    image = Taken(place);
    place = order.TakeNext();
  }
  return taken;
}

bool RequestQueue::Remove(RequestNumber number) {
  const auto found = places_.find(number);
  if (found == places_.end()) return false;
  const int place = found->second;
  const ServiceOrder::Request& request = order_.request(place);
  images_ -= static_cast<size_t>(request.images - request.next_image);
  order_.Remove(place);
  Forget(place);
  return true;
}

// The requests of `order`, a copy of order_ with perhaps one more at place `last`, in the order of their next
// images; up to `last` when there is one.
std::vector<RequestNumber> RequestQueue::ListUntil(ServiceOrder order, int last) const {
  std::vector<RequestNumber> numbers;
  numbers.reserve(requests());
  while (numbers.size() < requests()) {
    const int place = order.TakeNext();
    if (place == last) break;
    const ServiceOrder::Request& request = order.request(place);
    if (request.next_image == order_.request(place).next_image + 1) numbers.push_back(request.number);
  }
  return numbers;
}

std::vector<RequestNumber> RequestQueue::Order(absl::Time now) const {
  ServiceOrder order = order_;
  LiftDue(order, now, ServiceOrder::kNone);
  return ListUntil(std::move(order), ServiceOrder::kNone);
}

std::vector<RequestNumber> RequestQueue::Ahead(const QueuedRequest& request, absl::Time now) const {
  ServiceOrder order = order_;
  const auto client = client_numbers_.find(request.client);
  // A number that no client has: those of clients_ are taken or free.
  const int client_number =
      client == client_numbers_.end() ? static_cast<int>(clients_.size()) : client->second;
  const int newcomer = order.Add(Entry(request, client_number));
  LiftDue(order, now, newcomer);
  return ListUntil(std::move(order), newcomer);
}

// Requests of the same client and given priority.
int RequestQueue::WaitingOf(const ServiceOrder::Request& request) const {
  return clients_[static_cast<size_t>(request.client)].waiting[static_cast<size_t>(request.given)];
}

// Of a priority, the newest request of the client that has most of them waiting, among those of which nothing
// was taken; null when there is none.
const ServiceOrder::Request* RequestQueue::NewestOfLargestShare(Priority priority) const {
  const auto rank = [this](const ServiceOrder::Request& request) {
    return std::make_tuple(WaitingOf(request), request.arrival, request.number);
  };
  const ServiceOrder::Request* newest = nullptr;
  for (const ServiceOrder::Request& request : order_.requests()) {
    if (request.next_image > 0 || request.given != priority) continue;
    if (newest == nullptr || rank(request) > rank(*newest)) newest = &request;
  }
  return newest;
}

std::optional<RequestNumber> RequestQueue::ShedFor(const std::string& client, Priority priority) const {
  for (Priority lower = Priority::kLow; lower < priority; lower = Above(lower)) {
    if (const ServiceOrder::Request* request = NewestOfLargestShare(lower)) return request->number;
  }
  const ServiceOrder::Request* request = NewestOfLargestShare(priority);
  if (request == nullptr) return std::nullopt;
  const auto found = client_numbers_.find(client);
  const int own = found == client_numbers_.end()
                      ? 0
                      : clients_[static_cast<size_t>(found->second)].waiting[static_cast<size_t>(priority)];
  if (WaitingOf(*request) < own + 2) return std::nullopt;
  return request->number;
}

absl::Time RequestQueue::oldest_arrival() const {
  absl::Time oldest = absl::InfiniteFuture();
  for (const ServiceOrder::Request& request : order_.requests()) {
    if (request.waits()) oldest = std::min(oldest, request.arrival);
  }
  return oldest;
}

}  // namespace kandinsky
