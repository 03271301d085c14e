#pragma once

#include <atomic>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "base/mutex.h"
#include "scheduler/generation_observer.h"

namespace kandinsky {

// Keeps all events of one request, lets tests wait for them, and notes every breach of GenerationObserver's
// contract. Thread-safe.
class RecordingObserver : public GenerationObserver {
 public:
  void OnQueued(const QueueStatus& status) override;
  void OnStarted(const StartedInfo& info) override;
  void OnProgress(const ProgressUpdate& update) override;
  void OnPreview(PreviewImage preview) override;
  void OnImage(FinishedImage image) override;
  void OnFinished(const absl::Status& status, const GenerationStatistics& statistics) override;

  // Blocks until OnFinished; its status.
  absl::Status WaitForEnd() EXCLUDES(mutex_);
  // Block until that many events of the kind have come.
  void WaitForQueued(size_t count) EXCLUDES(mutex_);
  void WaitForProgress(size_t count) EXCLUDES(mutex_);
  void WaitForImages(size_t count) EXCLUDES(mutex_);

  bool started() const EXCLUDES(mutex_);
  bool finished() const EXCLUDES(mutex_);
  std::vector<QueueStatus> queued() const EXCLUDES(mutex_);
  std::vector<StartedInfo> starts() const EXCLUDES(mutex_);
  std::vector<ProgressUpdate> progress() const EXCLUDES(mutex_);
  std::vector<PreviewImage> previews() const EXCLUDES(mutex_);
  std::vector<FinishedImage> images() const EXCLUDES(mutex_);
  GenerationStatistics statistics() const EXCLUDES(mutex_);
  // One text per breach: concurrent calls, a wrong order, a second end.
  std::vector<std::string> breaches() const EXCLUDES(mutex_);

 private:
  class Call;

  void Require(bool condition, const char* breach) REQUIRES(mutex_);

  std::atomic<bool> in_call_ = false;
  mutable Mutex mutex_;
  ConditionVariable changed_;
  std::vector<QueueStatus> queued_ GUARDED_BY(mutex_);
  std::vector<StartedInfo> starts_ GUARDED_BY(mutex_);
  std::vector<ProgressUpdate> progress_ GUARDED_BY(mutex_);
  std::vector<PreviewImage> previews_ GUARDED_BY(mutex_);
  std::vector<FinishedImage> images_ GUARDED_BY(mutex_);
  std::vector<absl::Status> ends_ GUARDED_BY(mutex_);
  GenerationStatistics statistics_ GUARDED_BY(mutex_);
  std::vector<std::string> breaches_ GUARDED_BY(mutex_);
};

}  // namespace kandinsky
