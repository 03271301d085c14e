#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <deque>
#include <vector>

#include "absl/time/time.h"
#include "scheduler/engine_types.h"

namespace kandinsky {

// The rules of RequestQueue on bare numbers: levels strictly one after the other, the clients of a level by
// deficit round robin, the requests of a client and level by arrival. It knows no names and no time (who is
// lifted, and when, is the caller's). Copies are cheap, so that what would happen can be tried on one. Not
// thread-safe.
//
// Deficit round robin: the clients of a level form a ring. On each visit a client's deficit grows by the
// quantum, and its images are served while the deficit pays for them. The quantum is the same for all visits
// of one round, so that nobody gains by when its expensive images come, and is the largest cost among the
// heads at the round's start, so that each of them is served in that round (unless its client is in debt). A
// client that joins goes to the ring's end; a client that leaves forgets its deficit.
class ServiceOrder {
 public:
  static constexpr int kNone = -1;

  struct Request {
    RequestNumber number = 0;
    int client = 0;  // small numbers, reused by the caller
    Priority given = Priority::kNormal;
    Priority level = Priority::kNormal;  // >= given
    absl::Time arrival;
    int64_t image_cost = 1;  // > 0, any unit
    int images = 1;
    int next_image = 0;
    // Neighbors in its list, kNone at its ends; the order's own.
    int previous = kNone;
    int next = kNone;

    bool waits() const { return next_image < images; }
  };

  // Returns the place of the request, by which it is named from now on. The place of a request that waits no
  // longer can still be read until the next Add, which may reuse it.
  int Add(const Request& request);

  // Moves a request that waits to another level.
  void SetLevel(int place, Priority level);

  void Remove(int place);

  // Takes the next image, image request(place).next_image - 1, and returns its place; kNone when nothing
  // waits.
  int TakeNext();

  // Takes the next image of a request, whoever's turn it is; its client pays for it, with later turns if need
  // be.
  void Take(int place);

  const Request& request(int place) const { return requests_[static_cast<size_t>(place)]; }

  // By place; also those that wait no longer.
  const std::vector<Request>& requests() const { return requests_; }

  // One more than the largest client number so far.
  int clients() const { return static_cast<int>(clients_.size()); }

 private:
  struct List {
    int first = kNone;
    int last = kNone;
  };
  // A client's requests of one level.
  struct Line {
    std::array<List, kPriorities> by_given;  // each by arrival; the line's head is the oldest of the firsts
    int size = 0;
    int64_t deficit = 0;
  };
  struct Level {
    std::deque<int> ring;    // clients with a line that is not empty, the visited one first
    size_t visits_left = 0;  // of this round, the present one included
    int64_t quantum = 0;
    bool granted = false;  // the visited client has had its quantum
  };

  Request& at(int place) { return requests_[static_cast<size_t>(place)]; }
  Line& LineOf(int client, size_t level) { return clients_[static_cast<size_t>(client)][level]; }
  bool IsOlder(int a, int b) const;
  int HeadOf(const Line& line) const;
  void Link(int place);
  void Unlink(int place);
  void LeaveRing(Level& level, int client);
  void BeginRound(size_t level);
  int Serve(size_t level);

  std::vector<Request> requests_;  // by place
  std::vector<int> free_;          // places of those that wait no longer
  std::vector<std::array<Line, kPriorities>> clients_;
  std::array<Level, kPriorities> levels_;
};

}  // namespace kandinsky
