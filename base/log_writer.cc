#include "base/log_writer.h"

#include <poll.h>
#include <signal.h>
#include <spdlog/async.h>
#include <spdlog/sinks/sink.h>
#include <unistd.h>

#include <cerrno>
#include <string>
#include <utility>

#include "base/clock.h"
#include "base/mutex.h"

namespace kandinsky {
namespace {

// Whether all of `text` was taken; `begun` is set as soon as some of it was. Waits for a slow reader.
bool WriteAll(int descriptor, std::string_view text, bool& begun) {
  while (!text.empty()) {
    const ssize_t taken = write(descriptor, text.data(), text.size());
    if (taken > 0) {
      begun = true;
      text.remove_prefix(static_cast<size_t>(taken));
    } else if (errno == EAGAIN) {  // whoever shares the descriptor may have made it non-blocking
      pollfd file = {descriptor, POLLOUT, 0};
      poll(&file, 1, -1);
    } else if (errno != EINTR) {
      return false;
    }
  }
  return true;
}

// Threads made while this lives get no signals, so that those of a closed pipe (SIGPIPE), of a file that may
// not grow (SIGXFSZ) and of a terminal in other hands (SIGTTOU) become errors, and SIGTERM goes elsewhere.
class WithoutSignals {
 public:
  WithoutSignals() {
    sigset_t all;
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &before_);
  }
  ~WithoutSignals() { pthread_sigmask(SIG_SETMASK, &before_, nullptr); }

 private:
  sigset_t before_;
};

}  // namespace

// What the thread does with each text.
class LogWriter::Sink : public spdlog::sinks::sink {
 public:
  Sink(int descriptor, std::function<std::string(int64_t)> notice)
      : descriptor_(descriptor), notice_(std::move(notice)) {}

  // Before the first text. `overrun`: texts that had to make room.
  void set_overrun(std::function<int64_t()> overrun) { overrun_ = std::move(overrun); }

  void log(const spdlog::details::log_msg& text) override {
    if (!Put({text.payload.data(), text.payload.size()})) {
      ++failed_;
    } else if (const int64_t lost = this->lost(); lost > told_ && Put(notice_(lost - told_))) {
      told_ = lost;
    }
    MutexLock lock(mutex_);
    ++handled_;
    changed_.NotifyAll();
  }
  void flush() override {}
  void set_pattern(const std::string&) override {}
  void set_formatter(std::unique_ptr<spdlog::formatter>) override {}

  int64_t lost() const { return failed_ + overrun_(); }

  bool WaitUntilHandled(int64_t texts, absl::Time deadline) {
    MutexLock lock(mutex_);
    while (handled_ + overrun_() < texts) {
      if (Clock::Real().Now() >= deadline) return false;
      Clock::Real().WaitUntil(mutex_, changed_, deadline);
    }
    return true;
  }

 private:
  // A text that broke off, as on a full disk, is ended first.
  bool Put(std::string_view text) {
    bool begun = false;
    if (torn_ && !WriteAll(descriptor_, "\n", begun)) return false;
    begun = false;
    const bool whole = WriteAll(descriptor_, text, begun);
    torn_ = begun && !whole;
    return whole;
  }

  const int descriptor_;
  const std::function<std::string(int64_t)> notice_;
  std::function<int64_t()> overrun_;
  std::atomic<int64_t> failed_ = 0;
  int64_t told_ = 0;
  bool torn_ = false;  // the last text broke off

  Mutex mutex_;
  ConditionVariable changed_;
  int64_t handled_ GUARDED_BY(mutex_) = 0;
};

LogWriter::LogWriter(int descriptor, std::function<std::string(int64_t)> notice)
    : sink_(std::make_shared<Sink>(descriptor, std::move(notice))) {
  const WithoutSignals without_signals;
  thread_ = std::make_shared<spdlog::details::thread_pool>(kCapacity, /*threads_n=*/1);
  sink_->set_overrun([thread = thread_.get()] { return static_cast<int64_t>(thread->overrun_counter()); });
  queue_ = std::make_shared<spdlog::async_logger>("kandinsky", sink_, thread_,
                                                  spdlog::async_overflow_policy::overrun_oldest);
  queue_->set_error_handler([](const std::string&) {});  // the default one writes to standard error itself
}

LogWriter::~LogWriter() { Flush(absl::InfiniteDuration()); }

void LogWriter::Write(std::string_view text) {
  ++left_;
  queue_->log(spdlog::level::info, spdlog::string_view_t(text.data(), text.size()));
}

bool LogWriter::Flush(absl::Duration limit) {
  return sink_->WaitUntilHandled(left_, Clock::Real().Now() + limit);
}

int64_t LogWriter::lost() const { return sink_->lost(); }

}  // namespace kandinsky
