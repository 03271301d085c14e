#pragma once

#include <ostream>
#include <string>
#include <vector>

namespace kandinsky::client {

// The cells of a line, each without line ends. All rows of a table have as many.
using TableRow = std::vector<std::string>;

// Prints left-aligned columns, two spaces apart.
void PrintTable(const std::vector<TableRow>& rows, std::ostream& out);

}  // namespace kandinsky::client
