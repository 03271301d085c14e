#include "server/byte_budget.h"

#include <gtest/gtest.h>

#include <utility>

namespace kandinsky::server {
namespace {

TEST(ByteBudget, RefusesWhatWouldExceedTheLimitAndTakesWhatJustFits) {
  ByteBudget budget(100);
  const auto first = budget.TryReserve(60);
  ASSERT_TRUE(first.has_value());
  EXPECT_FALSE(budget.TryReserve(41).has_value());
  EXPECT_EQ(budget.bytes(), 60);
  EXPECT_TRUE(budget.TryReserve(40).has_value());
}

TEST(ByteBudget, GetsAShareBackWhenItsReservationGoes) {
  ByteBudget budget(100);
  {
    const auto reservation = budget.TryReserve(100);
    EXPECT_EQ(budget.bytes(), 100);
  }
  EXPECT_EQ(budget.bytes(), 0);
}

TEST(ByteBudget, CountsAMovedReservationOnce) {
  ByteBudget budget(100);
  auto first = budget.TryReserve(30);
  ByteBudget::Reservation second = *std::move(first);
  first.reset();
  EXPECT_EQ(budget.bytes(), 30);
  second = *budget.TryReserve(20);
  EXPECT_EQ(budget.bytes(), 20);
}

TEST(ByteBudget, FollowsAReservationThatShrinksOrGrowsBeyondTheLimit) {
  ByteBudget budget(100);
  auto reservation = budget.TryReserve(90);
  reservation->Resize(10);
  EXPECT_EQ(budget.bytes(), 10);
  reservation->Resize(110);
  EXPECT_EQ(budget.bytes(), 110);
  EXPECT_FALSE(budget.TryReserve(1).has_value());
}

TEST(ByteBudget, SplitsAReservationWithoutChangingTheSum) {
  ByteBudget budget(100);
  auto whole = budget.TryReserve(50);
  {
    const ByteBudget::Reservation part = whole->Split(20);
    EXPECT_EQ(part.bytes(), 20);
    EXPECT_EQ(whole->bytes(), 30);
    EXPECT_EQ(budget.bytes(), 50);
  }
  EXPECT_EQ(budget.bytes(), 30);
  EXPECT_EQ(whole->Split(1000).bytes(), 30);
}

TEST(ByteBudget, CountsWhatExistsAlreadyWhateverTheLimit) {
  ByteBudget budget(100);
  {
    const ByteBudget::Reservation taken = budget.Take(150);
    EXPECT_EQ(taken.bytes(), 150);
    EXPECT_EQ(budget.bytes(), 150);
    EXPECT_FALSE(budget.TryReserve(0).has_value());
  }
  EXPECT_EQ(budget.bytes(), 0);
}

TEST(ByteBudget, SurvivesReservationsOfNothing) {
  ByteBudget::Reservation nothing;
  nothing.Resize(5);
  EXPECT_EQ(nothing.Split(3).bytes(), 3);
}

}  // namespace
}  // namespace kandinsky::server
