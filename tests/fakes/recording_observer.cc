#include "tests/fakes/recording_observer.h"

#include <utility>

namespace kandinsky {

// Marks the time of one call, to find overlapping ones.
class RecordingObserver::Call {
 public:
  explicit Call(RecordingObserver& observer) : observer_(observer) {
    if (!observer_.in_call_.exchange(true)) return;
    MutexLock lock(observer_.mutex_);
    observer_.breaches_.push_back("two calls at once");
  }
  ~Call() { observer_.in_call_ = false; }

 private:
  RecordingObserver& observer_;
};

void RecordingObserver::Require(bool condition, const char* breach) {
  if (!condition) breaches_.push_back(breach);
}

void RecordingObserver::OnQueued(const QueueStatus& status) {
  const Call call(*this);
  MutexLock lock(mutex_);
  Require(starts_.empty() && ends_.empty(), "queued after started or finished");
  queued_.push_back(status);
  changed_.NotifyAll();
}

void RecordingObserver::OnStarted(const StartedInfo& info) {
  const Call call(*this);
  MutexLock lock(mutex_);
  Require(starts_.empty() && ends_.empty(), "started twice or after finished");
  starts_.push_back(info);
  changed_.NotifyAll();
}

void RecordingObserver::OnProgress(const ProgressUpdate& update) {
  const Call call(*this);
  MutexLock lock(mutex_);
  Require(!starts_.empty() && ends_.empty(), "progress before started or after finished");
  progress_.push_back(update);
  changed_.NotifyAll();
}

void RecordingObserver::OnPreview(PreviewImage preview) {
  const Call call(*this);
  MutexLock lock(mutex_);
  Require(!starts_.empty() && ends_.empty(), "preview before started or after finished");
  previews_.push_back(std::move(preview));
  changed_.NotifyAll();
}

void RecordingObserver::OnImage(FinishedImage image) {
  const Call call(*this);
  MutexLock lock(mutex_);
  Require(!starts_.empty() && ends_.empty(), "image before started or after finished");
  images_.push_back(std::move(image));
  changed_.NotifyAll();
}

void RecordingObserver::OnFinished(const absl::Status& status, const GenerationStatistics& statistics) {
  const Call call(*this);
  MutexLock lock(mutex_);
  Require(ends_.empty(), "finished twice");
  ends_.push_back(status);
  statistics_ = statistics;
  changed_.NotifyAll();
}

absl::Status RecordingObserver::WaitForEnd() {
  MutexLock lock(mutex_);
  while (ends_.empty()) changed_.Wait(mutex_);
  return ends_.front();
}

void RecordingObserver::WaitForQueued(size_t count) {
  MutexLock lock(mutex_);
  while (queued_.size() < count) changed_.Wait(mutex_);
}

void RecordingObserver::WaitForProgress(size_t count) {
  MutexLock lock(mutex_);
  while (progress_.size() < count) changed_.Wait(mutex_);
}

void RecordingObserver::WaitForImages(size_t count) {
  MutexLock lock(mutex_);
  while (images_.size() < count) changed_.Wait(mutex_);
}

bool RecordingObserver::started() const {
  MutexLock lock(mutex_);
  return !starts_.empty();
}

bool RecordingObserver::finished() const {
  MutexLock lock(mutex_);
  return !ends_.empty();
}

std::vector<QueueStatus> RecordingObserver::queued() const {
  MutexLock lock(mutex_);
  return queued_;
}

std::vector<StartedInfo> RecordingObserver::starts() const {
  MutexLock lock(mutex_);
  return starts_;
}

std::vector<ProgressUpdate> RecordingObserver::progress() const {
  MutexLock lock(mutex_);
  return progress_;
}

std::vector<PreviewImage> RecordingObserver::previews() const {
  MutexLock lock(mutex_);
  return previews_;
}

std::vector<FinishedImage> RecordingObserver::images() const {
  MutexLock lock(mutex_);
  return images_;
}

GenerationStatistics RecordingObserver::statistics() const {
  MutexLock lock(mutex_);
  return statistics_;
}

std::vector<std::string> RecordingObserver::breaches() const {
  MutexLock lock(mutex_);
  return breaches_;
}

}  // namespace kandinsky
