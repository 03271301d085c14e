#include "pipeline/pipeline.h"

namespace kandinsky {

const char* StageName(Stage stage) {
  switch (stage) {
    case Stage::kEncode:
      return "encode";
    case Stage::kPrior:
      return "prior";
    case Stage::kDenoise:
      return "denoise";
    case Stage::kDecode:
      return "decode";
    case Stage::kDone:
      return "done";
  }
  return "unknown";
}

}  // namespace kandinsky
