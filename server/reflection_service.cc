#include "server/reflection_service.h"

#include <google/protobuf/descriptor.h>

#include <atomic>
#include <functional>
#include <iterator>
#include <memory>
#include <optional>
#include <utility>
#include <vector>

#include "base/mutex.h"
#include "grpc/reflection/v1/reflection.pb.h"
#include "grpc/reflection/v1alpha/reflection.pb.h"
#include "server/call_lifetime.h"
#include "server/error_details.h"
#include "server/exception_guard.h"
#include "server/message_watch.h"
#include "server/reaction_order.h"
#include "server/reflection_answers.h"
#include "server/wire.h"

namespace kandinsky::server {
namespace {

constexpr int kMostStreams = 16;
constexpr absl::Duration kLongestIdle = absl::Minutes(1);
constexpr int64_t kMostRequestBytes = 4096;

// Makes the answer to the request in `message`, or the error.
using Answer = std::function<grpc::Status(const grpc::ByteBuffer& message, grpc::ByteBuffer& response)>;

// Open streams of both versions.
class StreamCount {
 public:
  bool Enter() {
    if (++count_ <= kMostStreams) return true;
    --count_;
    return false;
  }
  void Leave() { --count_; }

 private:
  std::atomic<int> count_ = 0;
};

// One stream: reads a request, writes its answer, and so on. Owned by a shared pointer of its own until it is
// over.
class ReflectionStream final : public grpc::ServerGenericBidiReactor,
                               public std::enable_shared_from_this<ReflectionStream> {
 public:
  ReflectionStream(const CallContext& context, const RpcMethod& method, grpc::CallbackServerContext& rpc,
                   std::shared_ptr<StreamCount> streams, Answer answer)
      : lifetime_(context, method, rpc),
        context_(context),
        rpc_(rpc),
        streams_(std::move(streams)),
        answer_(std::move(answer)) {}

  static grpc::ServerGenericBidiReactor* Run(const std::shared_ptr<ReflectionStream>& stream) {
    const ReactionOrder order(stream.get());
    stream->self_ = stream;
    stream->entered_ = stream->streams_->Enter();
    if (stream->entered_) {
      stream->Read();
    } else {
      stream->End(TooManyReflectionStreamsError(kMostStreams), /*refused=*/true);
    }
    return stream.get();
  }

  void OnReadDone(bool ok) override EXCLUDES(mutex_) {
    const ReactionOrder order(this);
    MessageWatch::Id watch = 0;
    {
      MutexLock lock(mutex_);  // held when the read began, perhaps a moment ago
      watch = watch_;
    }
    context_.watch.End(watch, ok ? static_cast<int64_t>(request_.Length()) : 0);
    if (!ok) return End(grpc::Status::OK, /*refused=*/false);  // the client has said all
    response_.Clear();
    grpc::Status error;
    if (request_.Length() > kMostRequestBytes) {
      error = MessageTooLargeError(kMostRequestBytes);
    } else {
      GuardExceptions([&] { error = answer_(request_, response_); },
                      [&](const std::string& cause) { error = InternalError(cause); });
    }
    if (!error.ok()) return End(error, /*refused=*/true);
    MutexLock lock(mutex_);
    if (!ended_) StartWrite(&response_);
  }

  void OnWriteDone(bool ok) override {
    const ReactionOrder order(this);
    if (ok) return Read();
    End(CancelledError(/*by_shutdown=*/false), /*refused=*/false);
  }

  void OnCancel() override {
    const ReactionOrder order(this);
    End(CancelledError(/*by_shutdown=*/false), /*refused=*/false);
  }

  void OnDone() override {
    const ReactionOrder order(this);
    if (entered_) streams_->Leave();
    lifetime_.RpcDone();
    self_.reset();
  }

 private:
  void Read() EXCLUDES(mutex_) {
    const auto end = [stream = weak_from_this()](const grpc::Status& error) {
      if (const auto self = stream.lock()) self->End(error, /*refused=*/true);
    };
    lifetime_.SetTimer(context_.clock.Now() + kLongestIdle, [end] {
      end(UnavailableError("REFLECTION_IDLE",
                           "the reflection stream had no request for a minute; open another one",
                           absl::ZeroDuration()));
    });
    MutexLock lock(mutex_);
    if (ended_) return;
    watch_ = context_.watch.Begin(rpc_.peer(), kMostRequestBytes,
                                  [end] { end(MessageTooLargeError(kMostRequestBytes)); });
    StartRead(&request_);
  }

  void End(const grpc::Status& status, bool refused) EXCLUDES(mutex_) {
    if (!lifetime_.Conclude(status, {.refused = refused})) return;
    MutexLock lock(mutex_);
    ended_ = true;
    Finish(status);
  }

  CallLifetime lifetime_;
  const CallContext context_;
  grpc::CallbackServerContext& rpc_;
  const std::shared_ptr<StreamCount> streams_;
  const Answer answer_;
  std::shared_ptr<ReflectionStream> self_;  // until OnDone
  bool entered_ = false;
  grpc::ByteBuffer request_;
  grpc::ByteBuffer response_;
  Mutex mutex_;
  MessageWatch::Id watch_ GUARDED_BY(mutex_) = 0;
  bool ended_ GUARDED_BY(mutex_) = false;  // no operation may begin any more
};

template <typename Request, typename Response>
Answer MakeAnswer(const std::shared_ptr<const std::vector<std::string>>& services) {
  return [services](const grpc::ByteBuffer& message, grpc::ByteBuffer& response_bytes) {
    Request request;
    if (!ParseMessage(message, request)) return MalformedRequestError();
    const auto response = AnswerReflection<Request, Response>(
        request, *services, *google::protobuf::DescriptorPool::generated_pool());
    if (!SerializeMessage(response, response_bytes))
      return InternalError("the response could not be serialized");
    return grpc::Status::OK;
  };
}

}  // namespace

void AddReflectionServices(const CallContext& context, RpcDispatcher& dispatcher) {
  constexpr RpcMethod kMethods[] = {
      {"grpc.reflection.v1.ServerReflection", "ServerReflectionInfo", "bidi_stream"},
      {"grpc.reflection.v1alpha.ServerReflection", "ServerReflectionInfo", "bidi_stream"}};
  std::vector<std::string> names = dispatcher.Services();
  for (const RpcMethod& method : kMethods) names.emplace_back(method.service);
  const auto services = std::make_shared<const std::vector<std::string>>(std::move(names));
  namespace v1_ = grpc::reflection::v1;
  namespace alpha = grpc::reflection::v1alpha;
  const Answer answers[] = {
      MakeAnswer<v1_::ServerReflectionRequest, v1_::ServerReflectionResponse>(services),
      MakeAnswer<alpha::ServerReflectionRequest, alpha::ServerReflectionResponse>(services)};
  const auto streams = std::make_shared<StreamCount>();
  for (size_t i = 0; i < std::size(kMethods); ++i) {
    const auto make = [context, method = kMethods[i], streams,
                       answer = answers[i]](grpc::GenericCallbackServerContext& rpc) {
      return ReflectionStream::Run(std::make_shared<ReflectionStream>(context, method, rpc, streams, answer));
    };
    dispatcher.Add(kMethods[i], make);
  }
}

}  // namespace kandinsky::server
