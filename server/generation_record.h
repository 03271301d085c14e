#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "absl/time/time.h"
#include "base/mutex.h"
#include "scheduler/engine.h"
#include "server/call_context.h"
#include "server/generation_listener.h"
#include "server/request_validation.h"
#include "server/work_submission.h"
#include "server/work_ticket.h"

namespace kandinsky::server {

// What is known about a request when it comes.
struct GenerationSpec {
  std::string client;
  std::string request_id;
  // The request without its id, as bytes that are the same for the same request (and of practically no
  // other); empty when the server drew the id: nobody can join such a request, and its result is not kept.
  std::string body;
  bool detach = false;
  Priority priority = Priority::kNormal;
  ResultEncoding encoding;
  int64_t result_bytes = 0;       // ResultBytes of each image
  GenerationRequest first_image;  // stands for all: they differ in their seed only; without its images
  int image_count = 0;
  absl::Time arrival;
  absl::Time deadline;            // of the work, as the first call wants it
  v1::GenerationSummary summary;  // id, model and seeds

  bool joinable() const { return !body.empty(); }
};

// One request from its acceptance until its result is forgotten, and all that the server knows about it.
// Takes the engine's events, encodes images and previews on the codec executor, and feeds any number of
// listeners. Thread-safe. Lock order: store before record before listener.
class GenerationRecord final : public WorkOwner, public std::enable_shared_from_this<GenerationRecord> {
 public:
  // `listener` is its first.
  GenerationRecord(const CallContext& context, GenerationSpec spec,
                   std::shared_ptr<GenerationListener> listener);

  const GenerationSpec& spec() const { return spec_; }

  bool BeginSubmission(ByteBudget::Reservation bytes) override EXCLUDES(mutex_);
  bool wanted() const override EXCLUDES(mutex_);
  void Accepted(Engine& engine, const Submission& submission) override;
  void Refused(const grpc::Status& status) override EXCLUDES(mutex_);

  // Tells `listener` where the request stands, the images included, and from then on what happens; the work
  // gets until `deadline` if that is later than what it has. False, without telling anything, when the
  // request is dead().
  bool Attach(const std::shared_ptr<GenerationListener>& listener, absl::Time deadline) EXCLUDES(mutex_);

  // Takes a listener away; false when the work has ended: then it had its OnEnd, or gets it in a moment. Ends
  // the work when nobody listens any more, unless the request is detached.
  bool Detach(const GenerationListener& listener) EXCLUDES(mutex_);

  // Ends the work within one step; false when it has ended already.
  bool Cancel() EXCLUDES(mutex_);

  // Whether it ended with an error, or certainly will: a call with its id starts a new run.
  bool dead() const EXCLUDES(mutex_);
  bool started() const EXCLUDES(mutex_);
  absl::Time deadline() const override EXCLUDES(mutex_);  // the latest that a call wanted
  // Whether its inputs are prepared.
  bool submitted() const { return ticket_.submitted(); }
  v1::GenerationState state() const EXCLUDES(mutex_);

  // Bytes that it holds if it should be kept after its end, else nothing.
  std::optional<int64_t> KeptBytes() const EXCLUDES(mutex_);

  // The request as of now, without images; expire_time is the end plus `keep` when it is kept.
  v1::Generation Describe(absl::Duration keep) const EXCLUDES(mutex_);

  // The images that are done, by index. None of a request that is not joinable, or not live and failed.
  std::vector<SharedImage> images() const EXCLUDES(mutex_);

  void OnQueued(const QueueStatus& status) override;
  void OnStarted(const StartedInfo& info) override;
  void OnProgress(const ProgressUpdate& update) override;
  void OnPreview(PreviewImage preview) override;
  void OnImage(FinishedImage image) override;
  void OnFinished(const absl::Status& status, const GenerationStatistics& statistics) override;

 private:
  // Runs `body`; an exception in it is a failure of the request.
  template <typename Body>
  void Guarded(Body&& body) noexcept;
  void Publish(const v1::GenerateEvent& event) REQUIRES(mutex_);
  void Replay(GenerationListener& listener) const REQUIRES(mutex_);
  void Encode(const FinishedImage& image) EXCLUDES(mutex_);
  void EncodePreviewOf(int image_index) EXCLUDES(mutex_);
  void AddImage(v1::GeneratedImage image) EXCLUDES(mutex_);
  // The server's own part failed: ends what is left of the work, soon and from another thread.
  void Fail(const std::string& cause) EXCLUDES(mutex_);
  void CancelWork() EXCLUDES(mutex_);
  // One of the results that the end waits for (each image, and the engine's end) has come.
  void ResultCame() EXCLUDES(mutex_);
  grpc::Status FinalStatus() const REQUIRES(mutex_);
  v1::GenerationState StateNow() const REQUIRES(mutex_);
  bool DeadNow() const REQUIRES(mutex_);

  const CallContext context_;
  const GenerationSpec spec_;
  WorkTicket ticket_;

  mutable Mutex mutex_;
  std::vector<std::shared_ptr<GenerationListener>> listeners_ GUARDED_BY(mutex_);
  ByteBudget::Reservation bytes_ GUARDED_BY(mutex_);
  absl::Time deadline_ GUARDED_BY(mutex_);  // of the work
  bool cancelled_ GUARDED_BY(mutex_) = false;
  int missing_results_ GUARDED_BY(mutex_) = 1;
  bool has_event_ GUARDED_BY(mutex_) = false;  // some event was told
  std::optional<QueueStatus> queued_ GUARDED_BY(mutex_);
  std::optional<StartedInfo> started_ GUARDED_BY(mutex_);
  std::map<int, ProgressUpdate> progress_ GUARDED_BY(mutex_);  // of unfinished images
  std::optional<ProgressUpdate> last_progress_ GUARDED_BY(mutex_);
  std::map<int, PreviewImage> previews_ GUARDED_BY(mutex_);  // that wait for the codec
  std::map<int, SharedImage> images_ GUARDED_BY(mutex_);     // of a joinable request
  int finished_images_ GUARDED_BY(mutex_) = 0;
  std::optional<absl::Status> engine_status_ GUARDED_BY(mutex_);
  std::optional<grpc::Status> failure_ GUARDED_BY(mutex_);  // of the server's own part, or the refusal
  GenerationEnd end_ GUARDED_BY(mutex_);                    // complete when end_time_ is set
  std::optional<absl::Time> end_time_ GUARDED_BY(mutex_);
};

}  // namespace kandinsky::server
