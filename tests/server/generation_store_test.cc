#include "server/generation_store.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <vector>

#include "tests/fakes/fake_clock.h"
#include "tests/server/call_environment.h"

namespace kandinsky::server {
namespace {

using testing::ElementsAre;
using testing::IsEmpty;
using Match = GenerationStore::Match;

// Does nothing with what it hears.
class SilentListener : public GenerationListener {
 public:
  void OnEvent(const v1::GenerateEvent&) override {}
  void OnImage(SharedImage) override {}
  void OnEnd(const GenerationEnd&) override {}
};

// No engine: tests tell the records what happens.
class StoreTest : public testing::Test {
 protected:
  explicit StoreTest(int64_t max_bytes = 1 << 20) : environment_(max_bytes) {}

  std::shared_ptr<GenerationRecord> Record(const std::string& id, const std::string& body = "body",
                                           const std::string& client = "", bool detach = false) {
    GenerationSpec spec = environment_.Spec(id, body);
    spec.client = client;
    spec.detach = detach;
    return std::make_shared<GenerationRecord>(environment_.context(), spec,
                                              std::make_shared<SilentListener>());
  }

  std::shared_ptr<GenerationRecord> Add(const std::shared_ptr<GenerationRecord>& record, int64_t bytes = 0) {
    EXPECT_EQ(store_.FindOrAdd(record).match, Match::kNone);
    EXPECT_TRUE(record->BeginSubmission(*budget_.TryReserve(bytes)));
    return record;
  }

  static void End(GenerationRecord& record, const absl::Status& status = absl::OkStatus()) {
    record.OnFinished(status, GenerationStatistics());
  }

  std::vector<std::string> Ids(const GenerationStore::Filter& filter = {}, uint64_t after = 0,
                               size_t limit = 100) {
    std::vector<std::string> ids;
    for (const auto& [place, record] : store_.List(after, filter, limit)) {
      ids.push_back(record->spec().request_id);
    }
    return ids;
  }

  CallEnvironment environment_;
  FakeClock& clock_ = environment_.clock;
  ByteBudget& budget_ = environment_.budget;
  GenerationStore& store_ = environment_.store;
};

TEST_F(StoreTest, GivesTheSameRequestTheSameRecord) {
  const auto first = Add(Record("a"));
  const auto found = store_.FindOrAdd(Record("a"));
  EXPECT_EQ(found.match, Match::kSame);
  EXPECT_EQ(found.record, first);
  EXPECT_EQ(store_.live(), 1);
}

TEST_F(StoreTest, DoesNotGiveAnIdToAnotherRequest) {
  Add(Record("a"));
  EXPECT_EQ(store_.FindOrAdd(Record("a", "other body")).match, Match::kConflict);
  EXPECT_EQ(store_.Meet(Record("a", "other body")->spec()).match, Match::kConflict);
  EXPECT_EQ(store_.Meet(Record("b", "other body")->spec()).match, Match::kNone);
}

TEST_F(StoreTest, KeepsTheIdsOfClientsApart) {
  const auto alices = Add(Record("a", "body", "alice"));
  const auto bobs = Add(Record("a", "other body", "bob"));
  EXPECT_EQ(store_.Find("alice", "a"), alices);
  EXPECT_EQ(store_.Find("bob", "a"), bobs);
  EXPECT_EQ(store_.Find("", "a"), nullptr);
}

TEST_F(StoreTest, LetsNobodyJoinARequestWhoseIdTheServerDrew) {
  Add(Record("drawn", /*body=*/""));
  EXPECT_EQ(store_.FindOrAdd(Record("drawn", "body")).match, Match::kConflict);
}

TEST_F(StoreTest, ForgetsARequestWhoseIdTheServerDrewAtItsEnd) {
  const auto record = Add(Record("drawn", /*body=*/""));
  EXPECT_NE(store_.Find("", "drawn"), nullptr);
  End(*record);
  EXPECT_EQ(store_.Find("", "drawn"), nullptr);
  EXPECT_EQ(store_.live(), 0);
}

TEST_F(StoreTest, KeepsAResultForItsTimeAndNotLonger) {
  End(*Add(Record("a")));
  clock_.Advance(absl::Seconds(299));
  EXPECT_EQ(store_.FindOrAdd(Record("a")).match, Match::kSame);
  EXPECT_EQ(store_.kept(), 1u);
  clock_.Advance(absl::Seconds(1));
  EXPECT_EQ(store_.kept(), 0u);
  EXPECT_EQ(store_.Find("", "a"), nullptr);
  Add(Record("a"));
}

TEST_F(StoreTest, KeepsAFailureOnlyOfADetachedRequest) {
  End(*Add(Record("a")), absl::InternalError("x"));
  End(*Add(Record("b", "body", "", /*detach=*/true)), absl::InternalError("x"));
  EXPECT_THAT(Ids(), ElementsAre("b"));
}

TEST_F(StoreTest, LetsANewRunTakeThePlaceOfAFailedOne) {
  End(*Add(Record("a", "body", "", /*detach=*/true)), absl::InternalError("x"));
  const auto again = Add(Record("a", "other body"));
  EXPECT_EQ(store_.Find("", "a"), again);
  EXPECT_THAT(Ids(), ElementsAre("a"));
  EXPECT_EQ(store_.kept(), 0u);
}

TEST_F(StoreTest, LetsANewRunTakeThePlaceOfOneThatIsBeingCancelled) {
  const auto first = Add(Record("a"));
  EXPECT_TRUE(first->Cancel());
  const auto second = Add(Record("a"));
  EXPECT_EQ(store_.live(), 2);
  End(*first, absl::CancelledError(""));
  EXPECT_EQ(store_.Find("", "a"), second);  // the end of the first does not touch the second
  EXPECT_EQ(store_.live(), 1);
}

TEST_F(StoreTest, ListsByArrivalAndFromAPlace) {
  for (const char* id : {"c", "a", "b"}) Add(Record(id));
  EXPECT_THAT(Ids(), ElementsAre("c", "a", "b"));
  const auto first = store_.List(0, {}, 1);
  Add(Record("d"));
  EXPECT_THAT(Ids({}, first[0].place), ElementsAre("a", "b", "d"));
  EXPECT_THAT(Ids({}, 0, 2), ElementsAre("c", "a"));
}

TEST_F(StoreTest, ListsOneClientOrOneState) {
  End(*Add(Record("done", "body", "alice")));
  Add(Record("waits", "body", "alice"));
  Add(Record("of-bob", "body", "bob"))->OnStarted({});
  EXPECT_THAT(Ids({.client = "alice"}), ElementsAre("done", "waits"));
  EXPECT_THAT(Ids({.client = "", .state = v1::GENERATION_STATE_RUNNING}), ElementsAre("of-bob"));
  EXPECT_THAT(Ids({.client = "alice", .state = v1::GENERATION_STATE_SUCCEEDED}), ElementsAre("done"));
  EXPECT_THAT(Ids({.client = "bob", .state = v1::GENERATION_STATE_QUEUED}), IsEmpty());
}

TEST_F(StoreTest, ForgetsTheOldestResultOnDemand) {
  Add(Record("live"));
  End(*Add(Record("a")));
  End(*Add(Record("b")));
  EXPECT_TRUE(store_.EvictOldest());
  EXPECT_THAT(Ids(), ElementsAre("live", "b"));
  EXPECT_TRUE(store_.EvictOldest());
  EXPECT_FALSE(store_.EvictOldest());
  EXPECT_THAT(Ids(), ElementsAre("live"));
}

// A store with room for two results of ten bytes.
class SmallStoreTest : public StoreTest {
 protected:
  SmallStoreTest() : StoreTest(/*max_bytes=*/20) {}

  std::shared_ptr<GenerationRecord> Large(const std::string& id) { return Add(Record(id, "0123456789"), 10); }
};

TEST_F(SmallStoreTest, ForgetsTheResultsThatEndedFirstWhenTheyAreTooMany) {
  const auto a = Large("a");
  const auto b = Large("b");
  const auto c = Large("c");
  End(*b);
  End(*a);
  EXPECT_THAT(Ids(), ElementsAre("a", "b", "c"));
  End(*c);
  EXPECT_THAT(Ids(), ElementsAre("a", "c"));
}

TEST_F(SmallStoreTest, NeverForgetsLiveRequestsForRoom) {
  for (const char* id : {"a", "b", "c", "d"}) Large(id);
  EXPECT_THAT(Ids(), ElementsAre("a", "b", "c", "d"));
}

TEST_F(SmallStoreTest, GivesTheBytesOfAForgottenResultBack) {
  End(*Large("a"));
  EXPECT_EQ(budget_.bytes(), 10);
  clock_.Advance(absl::Seconds(300));
  EXPECT_EQ(store_.kept(), 0u);
  EXPECT_EQ(budget_.bytes(), 0);
}

}  // namespace
}  // namespace kandinsky::server
