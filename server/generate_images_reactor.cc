#include "server/generate_images_reactor.h"

#include <utility>

#include "server/exception_guard.h"
#include "server/wire.h"

namespace kandinsky::server {

void GenerateImagesReactor::OnEvent(const v1::GenerateEvent&) {}

void GenerateImagesReactor::OnImage(SharedImage image) {
  MutexLock lock(images_mutex_);
  const int index = image->index();
  images_[index] = std::move(image);
}

void GenerateImagesReactor::Close(const grpc::Status& status, const v1::GenerationSummary& summary) {
  grpc::Status final_status = status;
  if (status.ok()) {
    GuardExceptions(
        [&] {
          v1::GenerateImagesResponse response;
          *response.mutable_summary() = summary;
          MutexLock lock(images_mutex_);
          for (const auto& [index, image] : images_) *response.add_images() = *image;
          images_.clear();
          if (!SerializeMessage(response, response_bytes_)) {
            final_status = InternalError("the response could not be serialized");
          }
        },
        [&](const std::string& cause) { final_status = InternalError(cause); });
  }
  if (!final_status.ok()) return Finish(final_status);
  StartWriteAndFinish(&response_bytes_, grpc::WriteOptions(), final_status);
}

}  // namespace kandinsky::server
