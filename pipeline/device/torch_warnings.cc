#include "pipeline/device/torch_warnings.h"

#include <c10/util/Exception.h>

#include "base/logging.h"

namespace kandinsky {
namespace {

class WarningsToLog : public c10::WarningHandler {
 public:
  void process(const c10::Warning& warning) override {
    Log(LogLevel::kWarning, "libtorch warns", {{"warning", warning.msg()}});
  }
};

}  // namespace

void SendTorchWarningsToLog() {
  static WarningsToLog* const handler = new WarningsToLog;
  c10::WarningUtils::set_warning_handler(handler);
}

}  // namespace kandinsky
