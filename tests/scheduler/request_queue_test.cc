#include "scheduler/request_queue.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <functional>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "pipeline/kandinsky22/request_plan.h"
#include "tests/scheduler/strict_key.h"

namespace kandinsky {
namespace {

using ::testing::ElementsAre;
using ::testing::IsEmpty;
using ::testing::Optional;

const absl::Time kNow = absl::UnixEpoch() + absl::Hours(1);
constexpr absl::Duration kAgeing = absl::Seconds(30);

// A request of one image that costs a second and arrived now.
QueuedRequest Request(RequestNumber number, const std::string& client = "a") {
  return {.number = number, .client = client, .arrival = kNow, .image_cost = absl::Seconds(1)};
}

QueuedRequest Request(RequestNumber number, const std::string& client, Priority priority) {
  QueuedRequest request = Request(number, client);
  request.priority = priority;
  return request;
}

QueuedRequest Images(RequestNumber number, int images, const std::string& client = "a") {
  QueuedRequest request = Request(number, client);
  request.images = images;
  return request;
}

QueuedRequest Costing(RequestNumber number, const std::string& client, absl::Duration image_cost) {
  QueuedRequest request = Request(number, client);
  request.image_cost = image_cost;
  return request;
}

// Takes up to `room` images and returns the numbers of their requests.
std::vector<RequestNumber> Numbers(RequestQueue& queue, size_t room, absl::Time now = kNow) {
  std::vector<RequestNumber> numbers;
  for (const TakenImage& image : queue.Take(room, now)) numbers.push_back(image.number);
  return numbers;
}

TEST(RequestQueueTest, GivesNothingWhenEmpty) {
  RequestQueue queue(kAgeing);
  EXPECT_THAT(queue.Take(5, kNow), IsEmpty());
  EXPECT_THAT(queue.Order(kNow), IsEmpty());
  EXPECT_EQ(queue.requests(), 0u);
  EXPECT_EQ(queue.images(), 0u);
  EXPECT_EQ(queue.oldest_arrival(), absl::InfiniteFuture());
}

TEST(RequestQueueTest, ServesAClientFirstComeFirstServed) {
  RequestQueue queue(kAgeing);
  for (const RequestNumber number : {4, 2, 3}) queue.Push(Request(number));
  EXPECT_THAT(Numbers(queue, 9), ElementsAre(2, 3, 4)) << "of one arrival, by number";
  for (const RequestNumber number : {5, 6, 7}) {
    QueuedRequest request = Request(number);
    request.arrival = kNow - absl::Seconds(static_cast<int>(number));
    queue.Push(request);
  }
  EXPECT_THAT(Numbers(queue, 9), ElementsAre(7, 6, 5)) << "by arrival, whenever they were pushed";
}

TEST(RequestQueueTest, ServesTheImagesOfARequestInTheirOrderAndOneByOne) {
  RequestQueue queue(kAgeing);
  queue.Push(Images(1, 3));
  queue.Push(Request(2));
  EXPECT_THAT(queue.Take(2, kNow), ElementsAre(TakenImage{1, 0}, TakenImage{1, 1}));
  EXPECT_EQ(queue.requests(), 2u);
  EXPECT_EQ(queue.images(), 2u);
  EXPECT_THAT(queue.Take(9, kNow), ElementsAre(TakenImage{1, 2}, TakenImage{2, 0}));
  EXPECT_EQ(queue.requests(), 0u);
}

TEST(RequestQueueTest, TheHighestPriorityComesFirst) {
  RequestQueue queue(kAgeing);
  queue.Push(Request(1, "a", Priority::kLow));
  queue.Push(Request(2, "b", Priority::kNormal));
  queue.Push(Request(3, "a", Priority::kHigh));
  queue.Push(Request(4, "b", Priority::kHigh));
  EXPECT_THAT(Numbers(queue, 9), ElementsAre(3, 4, 2, 1));
}

TEST(RequestQueueTest, AHigherPriorityOvertakesBetweenTheImagesOfARequest) {
  RequestQueue queue(kAgeing);
  queue.Push(Images(1, 2));
  EXPECT_THAT(Numbers(queue, 1), ElementsAre(1));
  queue.Push(Request(2, "b", Priority::kHigh));
  EXPECT_THAT(Numbers(queue, 9), ElementsAre(2, 1));
}

TEST(RequestQueueTest, WaitingLiftsByOnePriorityPerAgeingTimeAndTheOlderComesFirstThere) {
  RequestQueue queue(kAgeing);
  queue.Push(Request(1, "a", Priority::kLow));
  for (const auto& [number, priority] : {std::pair(2, Priority::kNormal), {3, Priority::kHigh}}) {
    QueuedRequest younger = Request(static_cast<RequestNumber>(number), "a", priority);
    younger.arrival = kNow + absl::Seconds(29);
    queue.Push(younger);
  }
  EXPECT_THAT(queue.Order(kNow + kAgeing - absl::Nanoseconds(1)), ElementsAre(3, 2, 1));
  EXPECT_THAT(queue.Order(kNow + kAgeing), ElementsAre(3, 1, 2));
  EXPECT_THAT(queue.Order(kNow + absl::Seconds(29) + kAgeing), ElementsAre(2, 3, 1));
  EXPECT_THAT(queue.Order(kNow + 2 * kAgeing - absl::Nanoseconds(1)), ElementsAre(2, 3, 1));
  EXPECT_THAT(queue.Order(kNow + 2 * kAgeing), ElementsAre(1, 2, 3));
  EXPECT_THAT(Numbers(queue, 9, kNow + 2 * kAgeing), ElementsAre(1, 2, 3));
}

TEST(RequestQueueTest, AgeingStopsAtTheHighestPriority) {
  RequestQueue queue(kAgeing);
  queue.Push(Request(1, "a", Priority::kHigh));
  queue.Push(Request(2, "b", Priority::kLow));
  EXPECT_THAT(Numbers(queue, 9, kNow + 100 * kAgeing), ElementsAre(1, 2));
}

TEST(RequestQueueTest, WithoutAgeingPrioritiesStayAsGiven) {
  RequestQueue queue(absl::InfiniteDuration());
  queue.Push(Request(1, "a", Priority::kLow));
  const absl::Time later = kNow + absl::Hours(10000);
  queue.Push(Request(2, "b", Priority::kNormal));
  EXPECT_THAT(Numbers(queue, 9, later), ElementsAre(2, 1));
}

TEST(RequestQueueTest, ClientsTakeTurnsWhateverTheirNumberOfRequests) {
  RequestQueue queue(kAgeing);
  for (const RequestNumber number : {1, 2, 3, 4}) queue.Push(Request(number, "a"));
  queue.Push(Request(5, "b"));
  queue.Push(Images(6, 2, "c"));
  EXPECT_THAT(Numbers(queue, 9), ElementsAre(1, 5, 6, 2, 6, 3, 4));
}

TEST(RequestQueueTest, ATurnIsWorthTheDearestImageThatWaits) {
  RequestQueue queue(kAgeing);
  queue.Push(Costing(1, "a", absl::Seconds(3)));
  queue.Push(Costing(2, "a", absl::Seconds(3)));
  for (const RequestNumber number : {3, 4, 5, 6, 7}) queue.Push(Costing(number, "b", absl::Seconds(1)));
  EXPECT_THAT(Numbers(queue, 9), ElementsAre(1, 3, 4, 5, 2, 6, 7));
}

TEST(RequestQueueTest, WhatATurnLeavesOverServesInTheNext) {
  RequestQueue queue(kAgeing);
  // 5 s a turn: 3 s are served and 2 s stay, then 3 + 3 of 7 s.
  for (const RequestNumber number : {1, 2, 3}) queue.Push(Costing(number, "a", absl::Seconds(3)));
  for (const RequestNumber number : {4, 5}) queue.Push(Costing(number, "b", absl::Seconds(5)));
  EXPECT_THAT(Numbers(queue, 9), ElementsAre(1, 4, 2, 3, 5));
}

TEST(RequestQueueTest, AClientThatLeftSavesNothingForItsReturn) {
  RequestQueue queue(kAgeing);
  queue.Push(Costing(1, "a", absl::Seconds(1)));
  queue.Push(Costing(2, "b", absl::Seconds(9)));
  EXPECT_THAT(Numbers(queue, 2), ElementsAre(1, 2));
  for (const RequestNumber number : {3, 4, 5}) queue.Push(Costing(number, "a", absl::Seconds(1)));
  for (const RequestNumber number : {6, 7}) queue.Push(Costing(number, "b", absl::Seconds(1)));
  EXPECT_THAT(Numbers(queue, 9), ElementsAre(3, 6, 4, 7, 5));
}

TEST(RequestQueueTest, ATurnGoesOnFromOneCallToTheNext) {
  RequestQueue queue(kAgeing);
  queue.Push(Costing(1, "a", absl::Seconds(2)));
  for (const RequestNumber number : {2, 3, 4}) queue.Push(Costing(number, "b", absl::Seconds(1)));
  queue.Push(Costing(5, "a", absl::Seconds(2)));
  for (const RequestNumber number : {1, 2, 3, 5, 4}) EXPECT_THAT(Numbers(queue, 1), ElementsAre(number));
}

TEST(RequestQueueTest, WithoutCostsImagesCountAlike) {
  RequestQueue queue(kAgeing);
  for (const RequestNumber number : {1, 2, 3}) queue.Push(Costing(number, "a", absl::ZeroDuration()));
  for (const RequestNumber number : {4, 5}) queue.Push(Costing(number, "b", absl::ZeroDuration()));
  EXPECT_THAT(Numbers(queue, 9), ElementsAre(1, 4, 2, 5, 3));
}

TEST(RequestQueueTest, EndlessAndNegativeCostsAreServedToo) {
  RequestQueue queue(kAgeing);
  for (RequestNumber number = 1; number <= 20; number += 2) {
    queue.Push(Costing(number, "a", absl::InfiniteDuration()));
    queue.Push(Costing(number + 1, "b", -absl::InfiniteDuration()));
  }
  EXPECT_EQ(Numbers(queue, 99).size(), 20u);
}

TEST(RequestQueueTest, RemoveKeepsTheRestInOrder) {
  RequestQueue queue(kAgeing);
  for (const RequestNumber number : {1, 2, 3, 4}) queue.Push(Images(number, 2));
  EXPECT_TRUE(queue.Remove(3));
  EXPECT_TRUE(queue.Remove(1));
  EXPECT_FALSE(queue.Remove(1));
  EXPECT_FALSE(queue.Remove(9));
  EXPECT_EQ(queue.images(), 4u);
  EXPECT_THAT(Numbers(queue, 9), ElementsAre(2, 2, 4, 4));
}

TEST(RequestQueueTest, RemovesWhatStillWaitsOfARequest) {
  RequestQueue queue(kAgeing);
  queue.Push(Images(1, 3));
  EXPECT_THAT(queue.Take(1, kNow), ElementsAre(TakenImage{1, 0}));
  EXPECT_TRUE(queue.Remove(1));
  EXPECT_EQ(queue.images(), 0u);
  queue.Push(Request(2));
  EXPECT_THAT(queue.Take(1, kNow), ElementsAre(TakenImage{2, 0}));
  EXPECT_FALSE(queue.Remove(2)) << "nothing waits of a request that was taken";
}

TEST(RequestQueueTest, RemovingTheClientWhoseTurnItIsPassesTheTurnOn) {
  RequestQueue queue(kAgeing);
  for (const RequestNumber number : {1, 2}) queue.Push(Request(number, "a"));
  for (const RequestNumber number : {3, 4}) queue.Push(Request(number, "b"));
  EXPECT_THAT(Numbers(queue, 1), ElementsAre(1));
  EXPECT_TRUE(queue.Remove(2));
  EXPECT_THAT(Numbers(queue, 9), ElementsAre(3, 4));
}

TEST(RequestQueueTest, CountsRequestsByThePriorityGiven) {
  RequestQueue queue(kAgeing);
  queue.Push(Request(1, "a", Priority::kLow));
  queue.Push(Request(2, "b", Priority::kLow));
  queue.Push(Request(3, "c", Priority::kHigh));
  EXPECT_EQ(queue.depth(Priority::kLow), 2u);
  EXPECT_EQ(queue.depth(Priority::kNormal), 0u);
  EXPECT_EQ(queue.depth(Priority::kHigh), 1u);
  EXPECT_THAT(Numbers(queue, 2, kNow + 5 * kAgeing), ElementsAre(3, 1)) << "lifted ones join behind";
  EXPECT_EQ(queue.depth(Priority::kLow), 1u);
  EXPECT_EQ(queue.depth(Priority::kHigh), 0u);
}

TEST(RequestQueueTest, TellsTheOldestArrivalOfThoseThatWait) {
  RequestQueue queue(kAgeing);
  QueuedRequest old = Request(1);
  old.arrival = kNow - absl::Seconds(9);
  queue.Push(Request(2, "b"));
  queue.Push(old);
  EXPECT_EQ(queue.oldest_arrival(), kNow - absl::Seconds(9));
  queue.Remove(1);
  EXPECT_EQ(queue.oldest_arrival(), kNow);
}

TEST(RequestQueueTest, OrderNamesEachRequestOnceWhereItsNextImageComes) {
  RequestQueue queue(kAgeing);
  queue.Push(Images(1, 3, "a"));
  queue.Push(Request(2, "a"));
  queue.Push(Request(3, "b"));
  EXPECT_THAT(queue.Order(kNow), ElementsAre(1, 3, 2));
  EXPECT_THAT(Numbers(queue, 1), ElementsAre(1));
  EXPECT_THAT(queue.Order(kNow), ElementsAre(3, 1, 2));
}

TEST(RequestQueueTest, AheadAreThoseServedBeforeANewcomer) {
  RequestQueue queue(kAgeing);
  for (const RequestNumber number : {1, 2, 3}) queue.Push(Request(number, "a"));
  queue.Push(Request(4, "b"));
  EXPECT_THAT(queue.Ahead(Request(9, "c"), kNow), ElementsAre(1, 4));
  EXPECT_THAT(queue.Ahead(Request(9, "b"), kNow), ElementsAre(1, 4, 2));
  EXPECT_THAT(queue.Ahead(Request(9, "a"), kNow), ElementsAre(1, 4, 2, 3));
  EXPECT_THAT(queue.Ahead(Request(9, "a", Priority::kHigh), kNow), IsEmpty());
  EXPECT_THAT(queue.Ahead(Request(9, "c", Priority::kLow), kNow), ElementsAre(1, 4, 2, 3));
  EXPECT_EQ(queue.requests(), 4u) << "it is only asked, not pushed";
}

TEST(RequestQueueTest, StrictKeysNameWhatMustAgree) {
  const GenerationRequest request;
  const std::vector<std::function<void(GenerationRequest&)>> differing = {
      [](GenerationRequest& other) { other.width = 1024; },
      [](GenerationRequest& other) { other.height = 1024; },
      [](GenerationRequest& other) { other.steps = 7; },
      [](GenerationRequest& other) { other.prior_steps = 7; },
      [](GenerationRequest& other) { other.guidance_scale = 7; },
      [](GenerationRequest& other) { other.prior_guidance_scale = 7; },
      [](GenerationRequest& other) { other.sampler = SamplerKind::kDdim; },
      [](GenerationRequest& other) { other.eta = 1; },
      [](GenerationRequest& other) { other.adapter = "watercolour"; },
      [](GenerationRequest& other) { other.output.image = false; },
      [](GenerationRequest& other) {
        other.task = ImageToImage{.init = {.image = nullptr, .strength = 1}};  // encodes another network
      },
      [](GenerationRequest& other) { other.image_embedding = std::make_shared<const FloatTensor>(); },
  };
  const auto KeyOf = [](const GenerationRequest& of) {
    return StrictBatchKeyOf(of, PlanRequest(of, {.adapters = {.prior = {}, .denoiser = of.adapter}}));
  };
  for (const auto& differ : differing) {
    GenerationRequest other = request;
    differ(other);
    EXPECT_FALSE(KeyOf(other) == KeyOf(request));
  }
  GenerationRequest same = request;
  same.prompt = "a cat";
  same.seed = 7;
  EXPECT_EQ(KeyOf(same), KeyOf(request));
}

class StrictBatchTest : public ::testing::Test {
 protected:
  static QueuedRequest Sized(RequestNumber number, int width, const std::string& client = "a") {
    QueuedRequest request = Request(number, client);
    request.key = StrictKey(width);
    return request;
  }

  std::vector<RequestNumber> TakeNumbers(const RequestQueue::BatchRule& rule, absl::Time now = kNow) {
    std::vector<RequestNumber> numbers;
    for (const TakenImage& image : queue_.TakeBatch(rule, now, ready_at_)) numbers.push_back(image.number);
    return numbers;
  }

  RequestQueue queue_{kAgeing};
  absl::Time ready_at_;
};

TEST_F(StrictBatchTest, ABatchHasOneKeyAndAtMostTheLargestNumberOfRows) {
  for (const RequestNumber number : {1, 3, 5, 7}) queue_.Push(Sized(number, 512));
  for (const RequestNumber number : {2, 4}) queue_.Push(Sized(number, 768));
  EXPECT_THAT(TakeNumbers({.max_rows = 3}), ElementsAre(1, 3, 5));
  EXPECT_THAT(TakeNumbers({.max_rows = 3}), ElementsAre(2, 4));
  EXPECT_THAT(TakeNumbers({.max_rows = 3}), ElementsAre(7));
}

TEST_F(StrictBatchTest, ImagesOfARequestShareABatchAndMaySpanTwo) {
  QueuedRequest request = Sized(1, 512);
  request.images = 3;
  queue_.Push(request);
  EXPECT_THAT(queue_.TakeBatch({.max_rows = 2}, kNow, ready_at_),
              ElementsAre(TakenImage{1, 0}, TakenImage{1, 1}));
  EXPECT_THAT(queue_.TakeBatch({.max_rows = 2}, kNow, ready_at_), ElementsAre(TakenImage{1, 2}));
}

TEST_F(StrictBatchTest, WaitsForThePreferredRowsOrTheDelay) {
  const RequestQueue::BatchRule rule = {.max_rows = 8, .preferred_rows = 3, .delay = absl::Seconds(5)};
  queue_.Push(Sized(1, 512));
  QueuedRequest second = Sized(2, 512);
  second.arrival = kNow + absl::Seconds(1);
  queue_.Push(second);
  EXPECT_THAT(TakeNumbers(rule, kNow + absl::Seconds(1)), IsEmpty());
  EXPECT_EQ(ready_at_, kNow + absl::Seconds(5));
  EXPECT_THAT(TakeNumbers(rule, kNow + absl::Seconds(5)), ElementsAre(1, 2));
  for (const RequestNumber number : {3, 4, 5}) queue_.Push(Sized(number, 512));
  EXPECT_THAT(TakeNumbers(rule, kNow + absl::Seconds(5)), ElementsAre(3, 4, 5));
}

TEST_F(StrictBatchTest, MorePreferredRowsThanABatchCanHaveMeansAFullBatch) {
  const RequestQueue::BatchRule rule = {.max_rows = 2, .preferred_rows = 8, .delay = absl::Hours(1)};
  for (const RequestNumber number : {1, 2, 3}) queue_.Push(Sized(number, 512));
  EXPECT_THAT(TakeNumbers(rule), ElementsAre(1, 2));
  EXPECT_THAT(TakeNumbers(rule), IsEmpty());
}

TEST_F(StrictBatchTest, AReadyBatchDoesNotWaitForOneThatGathers) {
  const RequestQueue::BatchRule rule = {.max_rows = 8, .preferred_rows = 2, .delay = absl::Seconds(5)};
  queue_.Push(Sized(1, 512));
  queue_.Push(Sized(2, 768));
  queue_.Push(Sized(3, 768));
  EXPECT_THAT(TakeNumbers(rule), ElementsAre(2, 3));
  EXPECT_THAT(TakeNumbers(rule), IsEmpty());
  EXPECT_EQ(ready_at_, kNow + absl::Seconds(5));
}

TEST_F(StrictBatchTest, NothingIsEverReadyInAnEmptyQueue) {
  EXPECT_THAT(TakeNumbers({}), IsEmpty());
  EXPECT_EQ(ready_at_, absl::InfiniteFuture());
}

TEST_F(StrictBatchTest, TheFirstInServiceDecidesWhichReadyBatchComes) {
  queue_.Push(Sized(1, 512));
  QueuedRequest high = Sized(2, 768, "b");
  high.priority = Priority::kHigh;
  queue_.Push(high);
  queue_.Push(Sized(3, 768));
  EXPECT_THAT(TakeNumbers({}), ElementsAre(2, 3));
}

TEST_F(StrictBatchTest, ClientsWithDifferentKeysAlternate) {
  for (RequestNumber number = 1; number <= 9; ++number) {
    queue_.Push(Sized(number, 512, "a"));
    queue_.Push(Sized(number + 10, 768, "b"));
  }
  const RequestQueue::BatchRule rule = {.max_rows = 3};
  EXPECT_THAT(TakeNumbers(rule), ElementsAre(1, 2, 3));
  EXPECT_THAT(TakeNumbers(rule), ElementsAre(11, 12, 13));
  EXPECT_THAT(TakeNumbers(rule), ElementsAre(4, 5, 6));
  EXPECT_THAT(TakeNumbers(rule), ElementsAre(14, 15, 16));
}

TEST_F(StrictBatchTest, ClientsOfOneKeyShareItsBatches) {
  for (RequestNumber number = 1; number <= 6; ++number) queue_.Push(Sized(number, 512, "a"));
  for (const RequestNumber number : {11, 12}) queue_.Push(Sized(number, 512, "b"));
  EXPECT_THAT(TakeNumbers({.max_rows = 5}), ElementsAre(1, 11, 2, 12, 3));
}

TEST(RequestQueueShedTest, ALowerPriorityGivesItsPlaceToAHigherOne) {
  RequestQueue queue(kAgeing);
  queue.Push(Request(1, "a", Priority::kLow));
  queue.Push(Request(2, "a", Priority::kNormal));
  EXPECT_THAT(queue.ShedFor("b", Priority::kHigh), Optional(RequestNumber{1}));
  EXPECT_THAT(queue.ShedFor("b", Priority::kNormal), Optional(RequestNumber{1}));
  EXPECT_THAT(queue.ShedFor("a", Priority::kHigh), Optional(RequestNumber{1}));
  EXPECT_EQ(queue.ShedFor("b", Priority::kLow), std::nullopt);
}

TEST(RequestQueueShedTest, AHigherPriorityNeverGivesItsPlaceToALowerOne) {
  RequestQueue queue(kAgeing);
  for (const RequestNumber number : {1, 2, 3}) queue.Push(Request(number, "a", Priority::kHigh));
  EXPECT_EQ(queue.ShedFor("b", Priority::kNormal), std::nullopt);
}

TEST(RequestQueueShedTest, TheNewestOfTheClientWithMostRequestsGoes) {
  RequestQueue queue(kAgeing);
  queue.Push(Request(1, "a", Priority::kLow));
  for (const RequestNumber number : {2, 3}) queue.Push(Request(number, "b", Priority::kLow));
  for (const RequestNumber number : {4, 5, 6}) queue.Push(Request(number, "c", Priority::kNormal));
  queue.Push(Request(7, "a", Priority::kLow));
  queue.Push(Request(8, "b", Priority::kLow));
  EXPECT_THAT(queue.ShedFor("d", Priority::kNormal), Optional(RequestNumber{8}));
}

TEST(RequestQueueShedTest, AmongEqualClientsTheNewestGoes) {
  RequestQueue queue(kAgeing);
  queue.Push(Request(1, "a", Priority::kLow));
  QueuedRequest newest = Request(2, "b", Priority::kLow);
  newest.arrival = kNow + absl::Seconds(1);
  queue.Push(newest);
  queue.Push(Request(3, "c", Priority::kLow));
  EXPECT_THAT(queue.ShedFor("d", Priority::kNormal), Optional(RequestNumber{2}));
}

TEST(RequestQueueShedTest, WithinAPriorityAClientGivesToOneThatHasTwoFewer) {
  RequestQueue queue(kAgeing);
  for (const RequestNumber number : {1, 2, 3}) queue.Push(Request(number, "a"));
  EXPECT_THAT(queue.ShedFor("b", Priority::kNormal), Optional(RequestNumber{3}));
  queue.Push(Request(4, "b"));
  EXPECT_THAT(queue.ShedFor("b", Priority::kNormal), Optional(RequestNumber{3}));
  queue.Push(Request(5, "b"));
  EXPECT_EQ(queue.ShedFor("b", Priority::kNormal), std::nullopt);
  EXPECT_EQ(queue.ShedFor("a", Priority::kNormal), std::nullopt);
  EXPECT_THAT(queue.ShedFor("c", Priority::kNormal), Optional(RequestNumber{3}));
}

TEST(RequestQueueShedTest, WhatHasBegunKeepsItsPlace) {
  RequestQueue queue(kAgeing);
  queue.Push(Images(1, 2, "a"));
  queue.Push(Request(2, "a"));
  EXPECT_THAT(queue.Take(1, kNow), ElementsAre(TakenImage{1, 0}));
  EXPECT_THAT(queue.ShedFor("b", Priority::kHigh), Optional(RequestNumber{2}));
  queue.Remove(2);
  EXPECT_EQ(queue.ShedFor("b", Priority::kHigh), std::nullopt);
}

TEST(RequestQueueShedTest, AgeingDoesNotSaveALowPriority) {
  RequestQueue queue(kAgeing);
  queue.Push(Images(1, 2, "b"));
  queue.Push(Request(2, "a", Priority::kLow));
  EXPECT_THAT(Numbers(queue, 1, kNow + 5 * kAgeing), ElementsAre(1));
  EXPECT_THAT(queue.ShedFor("c", Priority::kNormal), Optional(RequestNumber{2}));
}

}  // namespace
}  // namespace kandinsky
