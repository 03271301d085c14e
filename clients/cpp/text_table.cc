#include "clients/cpp/text_table.h"

#include <algorithm>

#include "absl/strings/str_cat.h"

namespace kandinsky::client {

void PrintTable(const std::vector<TableRow>& rows, std::ostream& out) {
  std::vector<size_t> widths;
  for (const TableRow& row : rows) {
    widths.resize(std::max(widths.size(), row.size()));
    for (size_t i = 0; i < row.size(); ++i) widths[i] = std::max(widths[i], row[i].size());
  }
  for (const TableRow& row : rows) {
    std::string line;
    for (size_t i = 0; i < row.size(); ++i) {
      absl::StrAppend(&line, row[i], std::string(widths[i] - row[i].size() + 2, ' '));
    }
    out << line.substr(0, line.find_last_not_of(' ') + 1) << "\n";
  }
  out << std::flush;
}

}  // namespace kandinsky::client
