#pragma once

#include "base/clock.h"
#include "base/executor.h"
#include "kandinsky/v1/server_config.pb.h"
#include "server/byte_budget.h"
#include "server/call_counts.h"
#include "server/metrics.h"
#include "server/serving_state.h"
#include "server/timer.h"

namespace kandinsky::server {

class GenerationStore;
class MessageWatch;
class RefusalLog;

// What all calls and the requests behind them share; outlives them.
struct CallContext {
  const v1::LimitsConfig& limits;  // complete
  ServingState& serving;
  Metrics& metrics;
  Executor& codec;   // decodes inputs and encodes results
  Executor& writer;  // begins the writes of streams
  Clock& clock;
  Timer& timer;
  ByteBudget& budget;
  GenerationStore& store;
  RefusalLog& refusals;
  MessageWatch& watch;  // over messages that are coming in
  CallCounts& counts;
};

}  // namespace kandinsky::server
