#pragma once

#include <grpcpp/support/status.h>

#include <memory>

#include "absl/time/time.h"
#include "kandinsky/v1/image_generation.pb.h"

namespace kandinsky::server {

// An encoded image. Everyone who still has to send it shares it; its bytes count against the budget as long.
using SharedImage = std::shared_ptr<const v1::GeneratedImage>;

// How a request ended.
struct GenerationEnd {
  grpc::Status status;
  v1::GenerationSummary summary;
  absl::Duration queued = absl::ZeroDuration();  // arrival to start
};

// Receives what happens to one request from a GenerationRecord: first where it stands, then what follows,
// then OnEnd exactly once, unless it was detached before. Calls are never concurrent, and are made with the
// record's lock held: implementations return at once, never throw and never call the record.
class GenerationListener {
 public:
  virtual ~GenerationListener() = default;

  // Anything but an image and the end.
  virtual void OnEvent(const v1::GenerateEvent& event) = 0;
  virtual void OnImage(SharedImage image) = 0;
  virtual void OnEnd(const GenerationEnd& end) = 0;
};

}  // namespace kandinsky::server
