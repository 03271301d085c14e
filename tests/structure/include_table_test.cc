#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "absl/strings/str_join.h"
#include "tests/structure/source_tree_rules.h"

namespace kandinsky {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::StartsWith;

const SourceTree& ProjectTree() {
  static const SourceTree* const tree = new SourceTree(ReadSourceTree(KANDINSKY_SOURCE_DIR));
  return *tree;
}

std::string Joined(const std::vector<std::string>& violations) { return absl::StrJoin(violations, "\n"); }

TEST(ProjectStructureTest, TheTreeWasRead) {
  EXPECT_TRUE(ProjectTree().contains("base/clock.h"));
  EXPECT_TRUE(ProjectTree().contains("scheduler/engine.cc"));
  EXPECT_TRUE(ProjectTree().contains("tests/structure/include_table_test.cc"));
}

TEST(ProjectStructureTest, EveryIncludeAgreesWithTheLayers) {
  EXPECT_EQ(Joined(CheckLayers(ProjectTree())), "");
}

TEST(ProjectStructureTest, TorchNeverMeetsProtoOrLogging) {
  EXPECT_EQ(Joined(CheckTorchApart(ProjectTree())), "");
}

TEST(ProjectStructureTest, EveryFileKeepsItsSizeBudget) { EXPECT_EQ(Joined(CheckSizes(ProjectTree())), ""); }

TEST(ProjectStructureTest, NoNameIsACatchAll) { EXPECT_EQ(Joined(CheckNames(ProjectTree())), ""); }

TEST(ProjectStructureTest, SpellingIsAmerican) {
  const SourceTree tree = ReadSpelledTree(KANDINSKY_SOURCE_DIR);
  for (const char* path : {"clients/cpp/README.md", "imaging/CMakeLists.txt", "tools/shapes_pack/scenes.py",
                           "training/trainer.cc"}) {
    EXPECT_TRUE(tree.contains(path)) << path;
  }
  EXPECT_EQ(Joined(CheckSpelling(tree)), "");
}

// The checker itself, on made-up trees.

// Headers to point at, one for each layer.
SourceTree Tree(const std::string& path, const std::string& text) {
  SourceTree tree;
  for (const char* header :
       {"base/b.h", "imaging/i.h", "config/c.h", "pipeline/pipeline.h", "pipeline/tokenizers/t.h",
        "pipeline/simulated/s.h", "pipeline/models/m.h", "pipeline/samplers/s.h", "pipeline/weights/w.h",
        "pipeline/components/c.h", "pipeline/kandinsky22/networks/k.h", "scheduler/s.h", "server/s.h",
        "training/t.h", "training/dataset/d.h", "training/config/c.h", "tools/t.h", "clients/cpp/c.h"}) {
    tree[header] = "";
  }
  tree[path] = text;
  return tree;
}

// Whether a file at `path` may include `included`.
bool Allowed(const std::string& path, const std::string& included) {
  return CheckLayers(Tree(path, "#include \"" + included + "\"\n")).empty();
}

TEST(CheckLayersTest, NamesFileLineAndBothLayers) {
  const std::vector<std::string> violations =
      CheckLayers(Tree("base/x.cc", "#include <vector>\n\n  #  include \"scheduler/s.h\"\n"));
  EXPECT_THAT(violations, ElementsAre("base/x.cc:3: base may not include scheduler: scheduler/s.h"));
}

TEST(CheckLayersTest, IncludesPointDownOnly) {
  const std::vector<std::pair<std::string, std::string>> chain = {{"base/x.cc", "base/b.h"},
                                                                  {"imaging/x.cc", "imaging/i.h"},
                                                                  {"pipeline/x.cc", "pipeline/pipeline.h"},
                                                                  {"scheduler/x.cc", "scheduler/s.h"},
                                                                  {"server/x.cc", "server/s.h"}};
  for (size_t from = 0; from < chain.size(); ++from) {
    for (size_t to = 0; to < chain.size(); ++to) {
      EXPECT_EQ(Allowed(chain[from].first, chain[to].second), to <= from)
          << chain[from].first << " includes " << chain[to].second;
    }
  }
}

TEST(CheckLayersTest, TheSchedulerSeesTheSeamButNotTheModels) {
  EXPECT_TRUE(Allowed("scheduler/x.cc", "pipeline/pipeline.h"));
  EXPECT_FALSE(Allowed("scheduler/x.cc", "pipeline/kandinsky22/networks/k.h"));
  EXPECT_FALSE(Allowed("scheduler/x.cc", "pipeline/models/m.h"));
  EXPECT_FALSE(Allowed("server/x.cc", "pipeline/kandinsky22/networks/k.h"));
  EXPECT_TRUE(Allowed("server/main.cc", "pipeline/kandinsky22/networks/k.h"));
}

TEST(CheckLayersTest, PartsOfThePipelineDoNotSeeEachOther) {
  EXPECT_FALSE(Allowed("pipeline/weights/x.cc", "pipeline/models/m.h"));
  EXPECT_FALSE(Allowed("pipeline/models/x.cc", "pipeline/weights/w.h"));
  EXPECT_FALSE(Allowed("pipeline/tokenizers/x.cc", "pipeline/pipeline.h"));
  EXPECT_FALSE(Allowed("pipeline/x.h", "pipeline/models/m.h"));
  EXPECT_TRUE(Allowed("pipeline/kandinsky22/networks/x.cc", "pipeline/models/m.h"));
}

TEST(CheckLayersTest, ComponentsBringWeightsIntoModelsForEveryFamily) {
  EXPECT_TRUE(Allowed("pipeline/components/x.cc", "pipeline/models/m.h"));
  EXPECT_TRUE(Allowed("pipeline/components/x.cc", "pipeline/weights/w.h"));
  EXPECT_FALSE(Allowed("pipeline/components/x.cc", "pipeline/kandinsky22/networks/k.h"));
  EXPECT_FALSE(Allowed("pipeline/weights/x.cc", "pipeline/components/c.h"));
  EXPECT_TRUE(Allowed("pipeline/kandinsky22/networks/x.cc", "pipeline/components/c.h"));
  EXPECT_TRUE(Allowed("training/x.cc", "pipeline/components/c.h"));
  EXPECT_TRUE(Allowed("tools/x.cc", "pipeline/components/c.h"));
}

TEST(CheckLayersTest, TheSimulatedPipelineSeesTheSeamAlone) {
  EXPECT_TRUE(Allowed("pipeline/simulated/x.cc", "pipeline/pipeline.h"));
  EXPECT_TRUE(Allowed("pipeline/simulated/x.cc", "imaging/i.h"));
  EXPECT_FALSE(Allowed("pipeline/simulated/x.cc", "pipeline/kandinsky22/networks/k.h"));
  EXPECT_FALSE(Allowed("pipeline/simulated/x.cc", "scheduler/s.h"));
  EXPECT_FALSE(Allowed("pipeline/simulated/x.cc", "torch/torch.h"));
  EXPECT_FALSE(Allowed("scheduler/x.cc", "pipeline/simulated/s.h"));
  EXPECT_FALSE(Allowed("server/x.cc", "pipeline/simulated/s.h"));
  EXPECT_TRUE(Allowed("server/main.cc", "pipeline/simulated/s.h"));
}

TEST(CheckLayersTest, TheConfigLayerKnowsNoProgram) {
  EXPECT_TRUE(Allowed("config/x.cc", "base/b.h"));
  EXPECT_TRUE(Allowed("config/x.cc", "google/protobuf/message.h"));
  EXPECT_TRUE(Allowed("server/x.cc", "config/c.h"));
  EXPECT_FALSE(Allowed("config/x.cc", "kandinsky/v1/server_config.pb.h"));
  EXPECT_FALSE(Allowed("config/x.cc", "server/s.h"));
  EXPECT_FALSE(Allowed("config/x.cc", "imaging/i.h"));
  EXPECT_FALSE(Allowed("config/x.cc", "torch/torch.h"));
  EXPECT_FALSE(Allowed("scheduler/x.cc", "config/c.h"));
}

TEST(CheckLayersTest, TrainingSeesThePipelineButNoWire) {
  EXPECT_TRUE(Allowed("training/x.cc", "torch/torch.h"));
  EXPECT_TRUE(Allowed("training/x.cc", "pipeline/kandinsky22/networks/k.h"));
  EXPECT_TRUE(Allowed("training/x.cc", "pipeline/models/m.h"));
  EXPECT_TRUE(Allowed("training/x.cc", "training/dataset/d.h"));
  EXPECT_FALSE(Allowed("training/x.cc", "training/config/c.h"));
  EXPECT_FALSE(Allowed("training/x.cc", "config/c.h"));
  EXPECT_FALSE(Allowed("training/x.cc", "scheduler/s.h"));
  EXPECT_FALSE(Allowed("training/x.cc", "google/protobuf/message.h"));
  EXPECT_FALSE(Allowed("server/x.cc", "training/t.h"));
  EXPECT_FALSE(Allowed("pipeline/kandinsky22/networks/x.cc", "training/t.h"));
}

TEST(CheckLayersTest, TheDatasetOfTrainingSeesNeitherTorchNorProto) {
  EXPECT_TRUE(Allowed("training/dataset/x.cc", "imaging/i.h"));
  EXPECT_TRUE(Allowed("training/dataset/x.cc", "base/b.h"));
  EXPECT_FALSE(Allowed("training/dataset/x.cc", "training/t.h"));
  EXPECT_FALSE(Allowed("training/dataset/x.cc", "pipeline/pipeline.h"));
  EXPECT_FALSE(Allowed("training/dataset/x.cc", "torch/torch.h"));
  EXPECT_FALSE(Allowed("training/dataset/x.cc", "kandinsky/v1/training_config.pb.h"));
}

TEST(CheckLayersTest, TheConfigurationOfTrainingSeesProtoAndPlainOptions) {
  EXPECT_TRUE(Allowed("training/config/x.cc", "config/c.h"));
  EXPECT_TRUE(Allowed("training/config/x.cc", "training/t.h"));
  EXPECT_TRUE(Allowed("training/config/x.cc", "kandinsky/v1/training_config.pb.h"));
  EXPECT_FALSE(Allowed("training/config/x.cc", "training/dataset/d.h"));
  EXPECT_FALSE(Allowed("training/config/x.cc", "server/s.h"));
  EXPECT_FALSE(Allowed("training/config/x.cc", "torch/torch.h"));
}

TEST(CheckLayersTest, TheTrainingProgramWiresEverythingAndUsesNoLibraryItself) {
  EXPECT_TRUE(Allowed("training/main.cc", "training/config/c.h"));
  EXPECT_TRUE(Allowed("training/main.cc", "training/dataset/d.h"));
  EXPECT_TRUE(Allowed("training/main.cc", "training/t.h"));
  EXPECT_FALSE(Allowed("training/main.cc", "torch/torch.h"));
  EXPECT_FALSE(Allowed("training/main.cc", "kandinsky/v1/training_config.pb.h"));
}

TEST(CheckLayersTest, ClientsSeeTheProtoAlone) {
  EXPECT_TRUE(Allowed("clients/cpp/x.cc", "clients/cpp/c.h"));
  EXPECT_TRUE(Allowed("clients/cpp/x.cc", "kandinsky/v1/image_generation.pb.h"));
  EXPECT_FALSE(Allowed("clients/cpp/x.cc", "base/b.h"));
}

TEST(CheckLayersTest, TestsSeeEverything) {
  EXPECT_TRUE(Allowed("tests/server/x.cc", "server/s.h"));
  EXPECT_TRUE(Allowed("tests/pipeline/x.cc", "pipeline/models/m.h"));
}

TEST(CheckLayersTest, GuardedLibrariesStayInTheirFolders) {
  EXPECT_FALSE(Allowed("scheduler/x.cc", "torch/torch.h"));
  EXPECT_FALSE(Allowed("pipeline/x.h", "ATen/ATen.h"));
  EXPECT_FALSE(Allowed("pipeline/tokenizers/x.cc", "c10/util/Half.h"));
  EXPECT_TRUE(Allowed("pipeline/models/x.cc", "torch/torch.h"));
  EXPECT_FALSE(Allowed("pipeline/models/x.cc", "spdlog/spdlog.h"));
  EXPECT_FALSE(Allowed("server/x.cc", "spdlog/spdlog.h"));
  EXPECT_TRUE(Allowed("base/x.cc", "spdlog/spdlog.h"));
  EXPECT_FALSE(Allowed("scheduler/x.cc", "grpcpp/grpcpp.h"));
  EXPECT_FALSE(Allowed("scheduler/x.cc", "kandinsky/v1/image_generation.pb.h"));
  EXPECT_TRUE(Allowed("server/x.cc", "google/protobuf/message.h"));
  EXPECT_FALSE(Allowed("server/main.cc", "torch/torch.h"));
}

TEST(CheckLayersTest, CommentsAreNoIncludes) {
  EXPECT_THAT(CheckLayers(Tree("base/x.cc", "// #include \"scheduler/s.h\"\n")), IsEmpty());
}

TEST(CheckTorchApartTest, FindsAMeetingInOneFile) {
  EXPECT_THAT(CheckTorchApart({{"tests/x.cc", "#include <torch/torch.h>\n#include <grpcpp/grpcpp.h>\n"}}),
              ElementsAre("tests/x.cc:2: torch meets proto, gRPC, spdlog or fmt: grpcpp/grpcpp.h"));
  EXPECT_THAT(CheckTorchApart({{"tests/x.cc", "#include <fmt/core.h>\n#include <ATen/ATen.h>\n"}}),
              ElementsAre(StartsWith("tests/x.cc:2: ")));
}

TEST(CheckTorchApartTest, FindsAMeetingThroughHeaders) {
  const SourceTree tree = {
      {"pipeline/models/m.h", "#include <torch/torch.h>\n"},
      {"tools/through.h", "#include \"pipeline/models/m.h\"\n"},
      {"tests/x.cc", "#include \"tools/through.h\"\n\n#include \"kandinsky/v1/a.pb.h\"\n"}};
  EXPECT_THAT(CheckTorchApart(tree), ElementsAre(StartsWith("tests/x.cc:3: ")));
}

TEST(CheckTorchApartTest, AllowsEachAlone) {
  EXPECT_THAT(CheckTorchApart({{"tests/x.cc", "#include <torch/torch.h>\n"},
                               {"tests/y.cc", "#include <grpcpp/grpcpp.h>\n#include <spdlog/spdlog.h>\n"}}),
              IsEmpty());
}

TEST(CheckSizesTest, HasALimitForEachKindOfFile) {
  const auto lines = [](int count) { return std::string(static_cast<size_t>(count), '\n'); };
  EXPECT_THAT(CheckSizes({{"base/x.cc", lines(400)}, {"base/x.h", lines(150)}, {"tests/x.cc", lines(800)}}),
              IsEmpty());
  EXPECT_THAT(CheckSizes({{"base/x.cc", lines(401)}}),
              ElementsAre("base/x.cc:401: 401 lines, more than 400"));
  EXPECT_THAT(CheckSizes({{"base/x.h", lines(151)}}), ElementsAre(StartsWith("base/x.h:151: ")));
  EXPECT_THAT(CheckSizes({{"tests/x.cc", lines(801)}}), ElementsAre(StartsWith("tests/x.cc:801: ")));
  EXPECT_THAT(CheckSizes({{"base/x.h", lines(150) + "last line without an end"}}),
              ElementsAre(HasSubstr("151 lines")));
}

TEST(CheckNamesTest, RefusesCatchAllNames) {
  EXPECT_THAT(CheckNames({{"base/utils.h", ""}}), ElementsAre(StartsWith("base/utils.h:1: ")));
  EXPECT_THAT(CheckNames({{"common/clock.h", ""}}), ElementsAre(HasSubstr("'common'")));
  EXPECT_THAT(CheckNames({{"base/string_util.cc", ""}}), ElementsAre(HasSubstr("'string_util'")));
  EXPECT_THAT(CheckNames({{"base/utility_meter.h", ""}, {"base/uncommon.h", ""}}), IsEmpty());
}

TEST(CheckSpellingTest, FindsBritishWordsInNamesAndText) {
  EXPECT_THAT(CheckSpelling({{"imaging/x.cc", "int a;\nint MaxColours();\n"}}),
              ElementsAre("imaging/x.cc:2: 'colour' is not American spelling"));
  EXPECT_THAT(CheckSpelling({{"training/README.md", "Normalised."}}), ElementsAre(HasSubstr("'normalis'")));
  EXPECT_THAT(
      CheckSpelling({{"imaging/x.cc", "// Colors of an optimistic gray center; noise, otherwise.\n"}}),
      IsEmpty());
}

TEST(CheckSpellingTest, LeavesCaptionsThatModelsLearnedFrom) {
  EXPECT_THAT(CheckSpelling({{"tools/shapes_pack/captions.py", "in the centre, on grey"}}), IsEmpty());
  EXPECT_THAT(CheckSpelling({{"tools/shapes_pack/captions.py", "colour"}}), ElementsAre(HasSubstr("colour")));
}

}  // namespace
}  // namespace kandinsky
