#pragma once

#include <memory>
#include <string>

#include "server/config.h"
#include "server/generation_record.h"
#include "server/generation_store.h"
#include "server/message_watch.h"
#include "server/refusal_log.h"
#include "tests/fakes/fake_clock.h"

namespace kandinsky::server {

// Everything that records need, without a server. Time stands still.
struct CallEnvironment {
  explicit CallEnvironment(int64_t max_kept_bytes = 1 << 20, size_t codec_capacity = 4)
      : store(absl::Seconds(300), max_kept_bytes, clock), codec("codec", 1, codec_capacity) {}

  CallContext context() {
    return {limits, serving, metrics, codec, writer, clock, timer, budget, store, refusals, watch, counts};
  }

  // A request for images of 8 x 8 pixels, as PNG.
  GenerationSpec Spec(const std::string& id, const std::string& body = "body") const {
    GenerationSpec spec;
    spec.request_id = id;
    spec.body = body;
    spec.first_image.width = 8;
    spec.first_image.height = 8;
    spec.result_bytes = 8 * 8 * 3;
    spec.image_count = 1;
    spec.arrival = clock.Now();
    spec.deadline = absl::InfiniteFuture();
    return spec;
  }

  FakeClock clock;
  const v1::LimitsConfig limits = WithDefaults({}).limits();
  ServingState serving;
  Metrics metrics{[] { return ServingSnapshot(); }};
  ByteBudget budget{1 << 20};
  GenerationStore store;
  Timer timer{clock};
  RefusalLog refusals{clock};
  MessageWatch watch{timer, clock};
  CallCounts counts;
  Executor writer{"writer", 1, 0};
  Executor codec;
};

}  // namespace kandinsky::server
