#pragma once

#include <string>
#include <utility>
#include <vector>

namespace kandinsky {

// One line of a plot.
struct PlotSeries {
  std::string name;
  std::string color;                              // any SVG color
  std::vector<std::pair<double, double>> points;  // x ascending; y > 0, smaller ones count as 1e-12
};

struct PlotLabels {
  std::string title;
  std::string x;
  std::string y;
};

// A line plot with a logarithmic y axis, as an SVG document of 720 x 440. At least one point.
std::string LinePlot(const PlotLabels& labels, const std::vector<PlotSeries>& series);

}  // namespace kandinsky
