#include "scheduler/service_order.h"

#include <algorithm>
#include <limits>

namespace kandinsky {

int ServiceOrder::Add(const Request& request) {
  int place = static_cast<int>(requests_.size());
  if (free_.empty()) {
    requests_.push_back(request);
  } else {
    place = free_.back();
    free_.pop_back();
    at(place) = request;
  }
  if (request.client >= clients()) clients_.resize(static_cast<size_t>(request.client) + 1);
  Link(place);
  return place;
}

void ServiceOrder::SetLevel(int place, Priority level) {
  Unlink(place);
  at(place).level = level;
  Link(place);
}

void ServiceOrder::Remove(int place) {
  Unlink(place);
  at(place).next_image = at(place).images;
  free_.push_back(place);
}

int ServiceOrder::TakeNext() {
  for (size_t level = kPriorities; level-- > 0;) {
    if (!levels_[level].ring.empty()) return Serve(level);
  }
  return kNone;
}

void ServiceOrder::Take(int place) {
  Request& request = at(place);
  LineOf(request.client, static_cast<size_t>(request.level)).deficit -= request.image_cost;
  ++request.next_image;
  if (!request.waits()) Remove(place);
}

bool ServiceOrder::IsOlder(int a, int b) const {
  const Request& first = request(a);
  const Request& second = request(b);
  return first.arrival != second.arrival ? first.arrival < second.arrival : first.number < second.number;
}

int ServiceOrder::HeadOf(const Line& line) const {
  int head = kNone;
  for (const List& list : line.by_given) {
    if (list.first != kNone && (head == kNone || IsOlder(list.first, head))) head = list.first;
  }
  return head;
}

void ServiceOrder::Link(int place) {
  Request& request = at(place);
  const size_t level = static_cast<size_t>(request.level);
  Line& line = LineOf(request.client, level);
  if (line.size++ == 0) levels_[level].ring.push_back(request.client);

  List& list = line.by_given[static_cast<size_t>(request.given)];
  int before = list.last;
  while (before != kNone && IsOlder(place, before)) before = at(before).previous;
  request.previous = before;
  request.next = before == kNone ? list.first : at(before).next;
  (request.previous == kNone ? list.first : at(request.previous).next) = place;
  (request.next == kNone ? list.last : at(request.next).previous) = place;
}

void ServiceOrder::Unlink(int place) {
  const Request& request = at(place);
  const size_t level = static_cast<size_t>(request.level);
  Line& line = LineOf(request.client, level);
  List& list = line.by_given[static_cast<size_t>(request.given)];
  (request.previous == kNone ? list.first : at(request.previous).next) = request.next;
  (request.next == kNone ? list.last : at(request.next).previous) = request.previous;
  if (--line.size > 0) return;
  line.deficit = 0;
  LeaveRing(levels_[level], request.client);
}

void ServiceOrder::LeaveRing(Level& level, int client) {
  const auto member = std::find(level.ring.begin(), level.ring.end(), client);
  const size_t index = static_cast<size_t>(member - level.ring.begin());
  if (index < level.visits_left) --level.visits_left;
  if (index == 0) level.granted = false;
  level.ring.erase(member);
}

void ServiceOrder::BeginRound(size_t level) {
  Level& state = levels_[level];
  state.visits_left = state.ring.size();
  state.quantum = 0;
  int64_t least_missing = std::numeric_limits<int64_t>::max();  // until somebody could be served
  for (const int client : state.ring) {
    const Line& line = LineOf(client, level);
    const int64_t cost = request(HeadOf(line)).image_cost;
    state.quantum = std::max(state.quantum, cost);
    least_missing = std::min(least_missing, cost - line.deficit);
  }
  // When all are in debt, everybody is given what the least indebted lacks.
  state.quantum = std::max(state.quantum, least_missing);
}

int ServiceOrder::Serve(size_t level) {
  Level& state = levels_[level];
  while (true) {
    if (state.visits_left == 0) BeginRound(level);
    const int client = state.ring.front();
    Line& line = LineOf(client, level);
    if (!state.granted) line.deficit += state.quantum;
    state.granted = true;
    const int head = HeadOf(line);
    if (request(head).image_cost <= line.deficit) {
      Take(head);
      return head;
    }
    state.ring.pop_front();
    state.ring.push_back(client);
    state.granted = false;
    --state.visits_left;
  }
}

}  // namespace kandinsky
