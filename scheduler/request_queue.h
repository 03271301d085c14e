#pragma once

#include <array>
#include <cstddef>
#include <optional>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "absl/container/flat_hash_map.h"
#include "absl/time/time.h"
#include "pipeline/generation_request.h"
#include "pipeline/plan.h"
#include "scheduler/engine_types.h"
#include "scheduler/service_order.h"

namespace kandinsky {

// What must agree for two images to share a batch in BatchMode::kStrict.
struct StrictBatchKey {
  std::vector<std::pair<BatchKey, int>> steps = {};  // of the plan's phases
  float guidance_scale = 0;
  float prior_guidance_scale = 0;
  SamplerKind sampler = SamplerKind::kModelDefault;
  float eta = 0;

  friend bool operator==(const StrictBatchKey&, const StrictBatchKey&) = default;

  template <typename H>
  friend H AbslHashValue(H state, const StrictBatchKey& key) {
    return H::combine(std::move(state), key.steps, key.guidance_scale, key.prior_guidance_scale, key.sampler,
                      key.eta);
  }
};

StrictBatchKey StrictBatchKeyOf(const GenerationRequest& request, const Plan& plan);

// A request as the queue sees it.
struct QueuedRequest {
  RequestNumber number = 0;
  std::string client = {};
  Priority priority = Priority::kNormal;
  absl::Time arrival = {};
  int images = 1;  // >= 1
  // Device time of one image; any common unit serves while nothing is measured.
  absl::Duration image_cost = {};
  StrictBatchKey key = {};
};

// One image that leaves the queue.
struct TakenImage {
  RequestNumber number = 0;
  int image_index = 0;

  friend bool operator==(const TakenImage&, const TakenImage&) = default;
};

// The waiting images in the order in which they are served, by three rules:
// 1. the highest priority first; waiting lifts a request by one priority per `ageing`, at most to
//    the highest;
// 2. within a priority the clients take turns by deficit round robin (Shreedhar and Varghese 1996), so that
//    each gets the same device time, whatever its requests cost;
// 3. within a client and a priority, first come first served; images of a request in their order.
// Images are taken one by one, so a large request never waits for room for all of them at once, and never
// holds up those behind it. A pure data structure: no clock, no threads. `now` never goes back from one call
// to the next. Not thread-safe.
class RequestQueue {
 public:
  // `ageing` > 0.
  explicit RequestQueue(absl::Duration ageing) : ageing_(ageing) {}

  // The number is that of no request that waits.
  void Push(const QueuedRequest& request);

  // Takes up to `room` images.
  std::vector<TakenImage> Take(size_t room, absl::Time now);

  // For BatchMode::kStrict: the first batch (in the order of service of its first image) of up to `max_rows`
  // images with the same key that is ready to start: it has `preferred_rows`, or its longest waiting image
  // has waited `delay`. Empty when none is ready; `ready_at` is then the earliest time at which one will be,
  // InfiniteFuture when nothing waits.
  struct BatchRule {
    size_t max_rows = 8;  // >= 1
    size_t preferred_rows = 8;
    absl::Duration delay = absl::ZeroDuration();
  };
  std::vector<TakenImage> TakeBatch(const BatchRule& rule, absl::Time now, absl::Time& ready_at);

  // Removes what still waits of a request; false when nothing does.
  bool Remove(RequestNumber number);

  // The requests in the order in which their next image would be taken if nothing else came.
  std::vector<RequestNumber> Order(absl::Time now) const;

  // The requests that would be served before `request` if it were pushed now, in that order.
  std::vector<RequestNumber> Ahead(const QueuedRequest& request, absl::Time now) const;

  // Who should give its place to a newcomer of `client` and `priority` when the queue is full: the newest
  // request, of which nothing was taken, of the client that has most requests waiting, among those of the
  // lowest priority that waits (as given, without ageing), if that priority is lower than the newcomer's; or
  // else, among those of the newcomer's priority, if that client has at least two requests more waiting than
  // the newcomer's. Nothing when nobody should.
  std::optional<RequestNumber> ShedFor(const std::string& client, Priority priority) const;

  size_t requests() const { return places_.size(); }  // with at least one image that waits
  size_t images() const { return images_; }
  size_t depth(Priority priority) const {  // requests of a priority as given
    return depths_[static_cast<size_t>(priority)];
  }
  // Arrival of the longest waiting request; InfiniteFuture when empty.
  absl::Time oldest_arrival() const;

 private:
  struct Client {
    std::string name;
    std::array<int, kPriorities> waiting = {};  // requests by given priority
  };
  using Lift = std::pair<absl::Time, RequestNumber>;

  ServiceOrder::Request Entry(const QueuedRequest& request, int client) const;
  Lift NextLift(const ServiceOrder::Request& request) const;
  void LiftDue(ServiceOrder& order, absl::Time now, int newcomer) const;
  void LiftDue(absl::Time now);
  std::vector<RequestNumber> ListUntil(ServiceOrder order, int last) const;
  TakenImage Taken(int place);
  void Forget(int place);
  int WaitingOf(const ServiceOrder::Request& request) const;
  const ServiceOrder::Request* NewestOfLargestShare(Priority priority) const;

  const absl::Duration ageing_;
  ServiceOrder order_;
  // The rest is about the requests in order_ that wait, each under the place it has there.
  absl::flat_hash_map<RequestNumber, int> places_;
  std::vector<StrictBatchKey> keys_;  // by place
  std::set<Lift> lifts_;              // when each will be lifted next, of those that will
  std::vector<Client> clients_;       // by the client numbers of order_
  std::vector<int> free_clients_;     // numbers of those with nothing waiting
  absl::flat_hash_map<std::string, int> client_numbers_;
  std::array<size_t, kPriorities> depths_ = {};
  size_t images_ = 0;
};

}  // namespace kandinsky
