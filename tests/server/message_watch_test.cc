#include "server/message_watch.h"

#include <gtest/gtest.h>

#include <atomic>
#include <map>
#include <thread>

#include "server/peer_socket.h"
#include "tests/fakes/fake_clock.h"
#include "tests/server/raw_rpc.h"

namespace kandinsky::server {
namespace {

constexpr int64_t kLimit = 16 << 20;
constexpr int64_t kBesides = (1 << 20) + (16 << 10) + kLimit / 8;  // frames, headers and settings

// Connections of which the test says how much has come in.
class MessageWatchTest : public testing::Test {
 protected:
  MessageWatchTest() {
    for (const char* peer : {"a", "b"}) received_[peer] = 0;  // none is added while the timer reads
  }

  // Lets the watch look once.
  void Look() {
    const int before = looks_;
    while (looks_ == before) {
      clock_.Advance(absl::Milliseconds(20));
      std::this_thread::yield();
    }
  }

  MessageWatch::Id Begin(const std::string& peer, int* refused) {
    return watch_.Begin(peer, kLimit, [refused] { ++*refused; });
  }

  FakeClock clock_;
  std::map<std::string, std::atomic<int64_t>> received_;
  std::atomic<int> looks_ = 0;
  Timer timer_{clock_};
  MessageWatch watch_{timer_, clock_, [this](const std::string& peer) {
                        return [this, bytes = &received_[peer]]() -> std::optional<int64_t> {
                          ++looks_;
                          return bytes->load();
                        };
                      }};
};

TEST_F(MessageWatchTest, RefusesAMessageThatIsLongerThanItMayBe) {
  int refused = 0;
  received_["a"] = 5000;
  Begin("a", &refused);
  Look();
  received_["a"] = 5000 + kLimit + kBesides;
  Look();
  Look();
  received_["a"] = 5001 + kLimit + kBesides;
  Look();
  Look();  // its beginning is after the end of the look before
  timer_.Stop();
  EXPECT_EQ(refused, 1) << "once";
}

TEST_F(MessageWatchTest, LetsEachMessageOfAConnectionHaveItsLimit) {
  int refused = 0;
  const MessageWatch::Id first = Begin("a", &refused);
  Begin("a", &refused);
  Look();
  received_["a"] = 2 * kLimit;
  Look();
  watch_.End(first, kLimit);
  Begin("a", &refused);
  received_["a"] = 3 * kLimit;
  Look();
  Look();
  timer_.Stop();
  EXPECT_EQ(refused, 0);
}

TEST_F(MessageWatchTest, RefusesAllUnfinishedMessagesOfTheConnectionAndNoOther) {
  int refused = 0;
  int others = 0;
  Begin("a", &refused);
  Begin("a", &refused);
  Begin("b", &others);
  Look();
  received_["a"] = 3 * kLimit;
  received_["b"] = kLimit;
  Look();
  Look();
  Look();
  timer_.Stop();
  EXPECT_EQ(refused, 2);
  EXPECT_EQ(others, 0);
}

TEST_F(MessageWatchTest, BeginsAnewWhenAConnectionHasNoUnfinishedMessage) {
  int refused = 0;
  for (int i = 1; i <= 5; ++i) {
    const MessageWatch::Id id = Begin("a", &refused);
    Look();
    received_["a"] = i * kLimit;
    Look();
    watch_.End(id, kLimit);
  }
  watch_.End(12345, 1);  // unknown ones are nothing
  timer_.Stop();
  EXPECT_EQ(refused, 0);
}

TEST(PeerSocket, TellsNothingOfPeersThatAreNotConnected) {
  for (const char* peer : {"unknown", "", "ipv4:127.0.0.1:1", "ipv6:%5B::1%5D:1", "unix:x"}) {
    EXPECT_FALSE(PeerSocket(peer).ReceivedBytes().has_value()) << peer;
  }
}

}  // namespace
}  // namespace kandinsky::server
