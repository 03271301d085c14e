#include "server/generation_record.h"

#include <algorithm>
#include <utility>

#include "server/error_details.h"
#include "server/event_conversion.h"
#include "server/exception_guard.h"
#include "server/generation_store.h"
#include "server/result_encoding.h"

namespace kandinsky::server {
namespace {

// An image and its share of the budget, which live and go together.
struct HeldImage {
  v1::GeneratedImage image;
  ByteBudget::Reservation bytes;
};

v1::GenerateEvent QueuedEventOf(const QueueStatus& status, const std::string& request_id) {
  v1::GenerateEvent event;
  *event.mutable_queued() = ToProto(status, request_id);
  return event;
}

v1::GenerateEvent StartedEventOf(const StartedInfo& info) {
  v1::GenerateEvent event;
  *event.mutable_started() = ToProto(info);
  return event;
}

v1::GenerateEvent ProgressEventOf(const ProgressUpdate& update) {
  v1::GenerateEvent event;
  *event.mutable_progress() = ToProto(update);
  return event;
}

}  // namespace

GenerationRecord::GenerationRecord(const CallContext& context, GenerationSpec spec,
                                   std::shared_ptr<GenerationListener> listener)
    : context_(context), spec_(std::move(spec)), deadline_(spec_.deadline) {
  listeners_.push_back(std::move(listener));
  end_.summary = spec_.summary;
}

bool GenerationRecord::BeginSubmission(ByteBudget::Reservation bytes) {
  if (!ticket_.BeginSubmission()) return false;
  MutexLock lock(mutex_);
  bytes_ = std::move(bytes);
  return true;
}

void GenerationRecord::Accepted(Engine& engine, const Submission& submission) {
  ticket_.Accepted(engine, submission.number);
}

void GenerationRecord::Refused(const grpc::Status& status) {
  {
    MutexLock lock(mutex_);
    failure_ = status;
  }
  ResultCame();
}

bool GenerationRecord::Attach(const std::shared_ptr<GenerationListener>& listener, absl::Time deadline) {
  {
    MutexLock lock(mutex_);
    deadline_ = std::max(deadline_, deadline);
  }
  // First: once the listener knows that it is in, an earlier deadline must not end the work any more.
  ticket_.ExtendDeadline(deadline);
  MutexLock lock(mutex_);
  if (DeadNow()) return false;
  Replay(*listener);
  if (end_time_.has_value()) {
    listener->OnEnd(end_);
  } else {
    listeners_.push_back(listener);
  }
  return true;
}

void GenerationRecord::Replay(GenerationListener& listener) const {
  if (started_.has_value()) {
    listener.OnEvent(StartedEventOf(*started_));
  } else if (queued_.has_value()) {
    listener.OnEvent(QueuedEventOf(*queued_, spec_.request_id));
  }
  for (const auto& [index, update] : progress_) listener.OnEvent(ProgressEventOf(update));
  for (const auto& [index, image] : images_) listener.OnImage(image);
}

bool GenerationRecord::Detach(const GenerationListener& listener) {
  std::shared_ptr<GenerationListener> detached;  // goes after the lock
  {
    MutexLock lock(mutex_);
    if (end_time_.has_value()) return false;  // its OnEnd is on the way
    const auto found = std::find_if(listeners_.begin(), listeners_.end(),
                                    [&](const auto& other) { return other.get() == &listener; });
    if (found == listeners_.end()) return false;
    detached = std::move(*found);
    listeners_.erase(found);
    if (!listeners_.empty() || spec_.detach) return true;
    cancelled_ = true;
  }
  CancelWork();
  return true;
}

bool GenerationRecord::Cancel() {
  {
    MutexLock lock(mutex_);
    if (end_time_.has_value()) return false;
    cancelled_ = true;
  }
  CancelWork();
  return true;
}

void GenerationRecord::CancelWork() {
  if (ticket_.Cancel()) Refused(CancelledError(/*by_shutdown=*/false));
}

bool GenerationRecord::dead() const {
  MutexLock lock(mutex_);
  return DeadNow();
}

bool GenerationRecord::started() const {
  MutexLock lock(mutex_);
  return started_.has_value();
}

absl::Time GenerationRecord::deadline() const {
  MutexLock lock(mutex_);
  return deadline_;
}

v1::GenerationState GenerationRecord::state() const {
  MutexLock lock(mutex_);
  return StateNow();
}

std::optional<int64_t> GenerationRecord::KeptBytes() const {
  MutexLock lock(mutex_);
  const bool worth_keeping = end_time_.has_value() && (end_.status.ok() || spec_.detach);
  if (!spec_.joinable() || !worth_keeping) return std::nullopt;
  int64_t bytes = bytes_.bytes();
  for (const auto& [index, image] : images_) bytes += static_cast<int64_t>(image->ByteSizeLong());
  return bytes;
}

std::vector<SharedImage> GenerationRecord::images() const {
  MutexLock lock(mutex_);
  std::vector<SharedImage> images;
  images.reserve(images_.size());
  for (const auto& [index, image] : images_) images.push_back(image);
  return images;
}

v1::Generation GenerationRecord::Describe(absl::Duration keep) const {
  v1::Generation generation;
  generation.set_request_id(spec_.request_id);
  generation.set_client_id(spec_.client);
  generation.set_priority(ToProto(spec_.priority));
  generation.set_detached(spec_.detach);
  generation.set_image_count(spec_.image_count);
  *generation.mutable_create_time() = ToProto(spec_.arrival);
  MutexLock lock(mutex_);
  generation.set_state(StateNow());
  generation.set_finished_images(finished_images_);
  *generation.mutable_summary() = end_.summary;
  if (end_time_.has_value()) {
    *generation.mutable_end_time() = ToProto(*end_time_);
    *generation.mutable_expire_time() = ToProto(*end_time_ + keep);
    if (!end_.status.ok()) *generation.mutable_error() = ToGenerationError(end_.status);
  } else if (last_progress_.has_value()) {
    *generation.mutable_progress() = ToProto(*last_progress_);
  } else if (queued_.has_value() && !started_.has_value()) {
    *generation.mutable_queued() = ToProto(*queued_, spec_.request_id);
  }
  return generation;
}

template <typename Body>
void GenerationRecord::Guarded(Body&& body) noexcept {
  GuardExceptions(std::forward<Body>(body), [this](const std::string& cause) { Fail(cause); });
}

void GenerationRecord::Publish(const v1::GenerateEvent& event) {
  if (!std::exchange(has_event_, true)) {
    context_.metrics.RecordFirstEvent(context_.clock.Now() - spec_.arrival);
  }
  for (const auto& listener : listeners_) listener->OnEvent(event);
}

void GenerationRecord::OnQueued(const QueueStatus& status) {
  Guarded([&] {
    MutexLock lock(mutex_);
    queued_ = status;
    Publish(QueuedEventOf(status, spec_.request_id));
  });
}

void GenerationRecord::OnStarted(const StartedInfo& info) {
  Guarded([&] {
    MutexLock lock(mutex_);
    started_ = info;
    Publish(StartedEventOf(info));
  });
}

void GenerationRecord::OnProgress(const ProgressUpdate& update) {
  Guarded([&] {
    MutexLock lock(mutex_);
    progress_[update.image_index] = update;
    last_progress_ = update;
    Publish(ProgressEventOf(update));
  });
}

void GenerationRecord::OnPreview(PreviewImage preview) {
  Guarded([&] {
    const int index = preview.image_index;
    {
      MutexLock lock(mutex_);
      if (listeners_.empty() || cancelled_) return;
      const bool scheduled = previews_.contains(index);
      previews_[index] = std::move(preview);
      if (scheduled) return;
    }
    if (context_.codec.TrySchedule([self = shared_from_this(), index] { self->EncodePreviewOf(index); })) {
      return;
    }
    MutexLock lock(mutex_);
    previews_.erase(index);
  });
}

void GenerationRecord::EncodePreviewOf(int image_index) {
  Guarded([&] {
    PreviewImage preview;
    {
      MutexLock lock(mutex_);
      const auto waiting = previews_.extract(image_index);
      if (waiting.empty() || listeners_.empty()) return;
      preview = std::move(waiting.mapped());
    }
    absl::StatusOr<v1::PreviewEvent> encoded = EncodePreview(preview);
    if (!encoded.ok()) return Fail(encoded.status().ToString());
    v1::GenerateEvent event;
    *event.mutable_preview() = *std::move(encoded);
    MutexLock lock(mutex_);
    // The image itself may have overtaken its preview.
    if (progress_.contains(image_index)) Publish(event);
  });
}

void GenerationRecord::OnImage(FinishedImage image) {
  {
    MutexLock lock(mutex_);
    ++missing_results_;
  }
  // There is nothing to encode, and nothing was reserved for it to wait.
  if (spec_.encoding.format == v1::OUTPUT_FORMAT_NONE) return Encode(image);
  // Whoever brings an image, a worker for one, is never held up by its encoding. The byte budget bounds what
  // waits: an image holds its share until it is sent.
  bool scheduled = false;
  Guarded([&] {
    context_.codec.Schedule([self = shared_from_this(), image = std::move(image)] { self->Encode(image); });
    scheduled = true;
  });
  if (!scheduled) ResultCame();
}

void GenerationRecord::OnFinished(const absl::Status& status, const GenerationStatistics& statistics) {
  Guarded([&] {
    context_.metrics.RecordGeneration(statistics);
    MutexLock lock(mutex_);
    AddStatistics(statistics, end_.summary);
    end_.queued = statistics.queued;
  });
  ticket_.Ended();
  {
    MutexLock lock(mutex_);
    engine_status_ = status;
  }
  ResultCame();
}

bool GenerationRecord::wanted() const {
  MutexLock lock(mutex_);
  const bool cancelled = engine_status_.has_value() && absl::IsCancelled(*engine_status_);
  return !cancelled_ && !cancelled && !failure_.has_value();
}

void GenerationRecord::Encode(const FinishedImage& image) {
  Guarded([&] {
    if (!wanted()) return;
    absl::StatusOr<v1::GeneratedImage> encoded = EncodeResult(
        image, {.request = spec_.first_image, .encoding = spec_.encoding, .model = spec_.summary.model()});
    if (!encoded.ok()) return Fail(encoded.status().ToString());
    context_.metrics.RecordImage(FormatName(spec_.encoding.format));
    AddImage(*std::move(encoded));
  });
  ResultCame();
}

void GenerationRecord::AddImage(v1::GeneratedImage image) {
  const auto held = std::make_shared<HeldImage>();
  held->image = std::move(image);
  const SharedImage shared(held, &held->image);
  MutexLock lock(mutex_);
  held->bytes = bytes_.Split(spec_.result_bytes);
  held->bytes.Resize(static_cast<int64_t>(shared->ByteSizeLong()));
  if (finished_images_++ == 0) context_.metrics.RecordFirstImage(context_.clock.Now() - spec_.arrival);
  progress_.erase(shared->index());
  if (spec_.joinable()) images_[shared->index()] = shared;
  for (const auto& listener : listeners_) listener->OnImage(shared);
}

void GenerationRecord::Fail(const std::string& cause) {
  const grpc::Status error = InternalError(cause);
  {
    MutexLock lock(mutex_);
    if (!failure_.has_value()) failure_ = error;
  }
  // Not from here: this may be a call of the engine, which must not call it back.
  context_.timer.At(context_.clock.Now(), [self = shared_from_this()] { self->CancelWork(); });
}

void GenerationRecord::ResultCame() {
  {
    MutexLock lock(mutex_);
    if (--missing_results_ > 0) return;
    end_.status = FinalStatus();
    end_time_ = context_.clock.Now();
    progress_.clear();
    last_progress_.reset();
    previews_.clear();
    if (!end_.status.ok()) images_.clear();
    // Not Resize: work that was refused has no share.
    bytes_ = context_.budget.Take(static_cast<int64_t>(spec_.body.size()));
  }
  // Before the listeners know: what their clients ask for next meets the store as it is then.
  context_.store.RecordEnded(shared_from_this());
  std::vector<std::shared_ptr<GenerationListener>> listeners;  // go after the lock
  MutexLock lock(mutex_);
  listeners.swap(listeners_);
  for (const auto& listener : listeners) listener->OnEnd(end_);
}

grpc::Status GenerationRecord::FinalStatus() const {
  if (failure_.has_value()) return *failure_;
  const bool draining = context_.serving.state() == ServingState::State::kRefusing;
  return EndOfWork(*engine_status_,
                   {.started = started_.has_value(),
                    .by_shutdown = !cancelled_ && draining,
                    .estimated_wait = queued_.has_value() ? queued_->estimated_wait : absl::ZeroDuration()});
}

v1::GenerationState GenerationRecord::StateNow() const {
  if (!end_time_.has_value()) {
    return started_.has_value() ? v1::GENERATION_STATE_RUNNING : v1::GENERATION_STATE_QUEUED;
  }
  if (end_.status.ok()) return v1::GENERATION_STATE_SUCCEEDED;
  return end_.status.error_code() == grpc::StatusCode::CANCELLED ? v1::GENERATION_STATE_CANCELLED
                                                                 : v1::GENERATION_STATE_FAILED;
}

bool GenerationRecord::DeadNow() const {
  return cancelled_ || failure_.has_value() || (engine_status_.has_value() && !engine_status_->ok());
}

}  // namespace kandinsky::server
