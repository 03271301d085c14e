#include "imaging/line_plot.h"

#include <algorithm>
#include <cmath>

#include "absl/strings/str_format.h"

namespace kandinsky {
namespace {

constexpr double kLeft = 80;
constexpr double kRight = 540;
constexpr double kTop = 50;
constexpr double kBottom = 380;
constexpr size_t kMostMarks = 20;  // of points and of ticks

// What is not positive stands at the bottom.
double LogOf(double y) { return std::log10(std::max(y, 1e-12)); }

// Maps data to the image.
class Axes {
 public:
  explicit Axes(const std::vector<PlotSeries>& series) {
    for (const PlotSeries& line : series) {
      for (const auto& [x, y] : line.points) {
        x_min_ = std::min(x_min_, x);
        x_max_ = std::max(x_max_, x);
        y_min_ = std::min(y_min_, std::floor(LogOf(y)));
        y_max_ = std::max(y_max_, std::ceil(LogOf(y)));
      }
    }
    if (y_max_ <= y_min_) y_max_ = y_min_ + 1;
    if (x_max_ <= x_min_) x_max_ = x_min_ + 1;
  }

  double X(double x) const { return kLeft + (x - x_min_) / (x_max_ - x_min_) * (kRight - kLeft); }
  double Y(double y) const { return kBottom - (LogOf(y) - y_min_) / (y_max_ - y_min_) * (kBottom - kTop); }
  double y_min() const { return y_min_; }
  double y_max() const { return y_max_; }

 private:
  double x_min_ = 1e300;
  double x_max_ = -1e300;
  double y_min_ = 1e300;
  double y_max_ = -1e300;
};

std::string Text(double x, double y, const std::string& text, const char* anchor) {
  return absl::StrFormat("<text x=\"%.1f\" y=\"%.1f\" text-anchor=\"%s\">%s</text>\n", x, y, anchor, text);
}

std::string Line(double x1, double y1, double x2, double y2, const char* color) {
  return absl::StrFormat("<line x1=\"%.1f\" y1=\"%.1f\" x2=\"%.1f\" y2=\"%.1f\" stroke=\"%s\"/>\n", x1, y1,
                         x2, y2, color);
}

std::string Curve(const Axes& axes, const PlotSeries& series, double legend_y) {
  std::string points;
  std::string svg;
  for (const auto& [x, y] : series.points) {
    absl::StrAppendFormat(&points, "%.1f,%.1f ", axes.X(x), axes.Y(y));
    if (series.points.size() > kMostMarks) continue;
    absl::StrAppendFormat(&svg, "<circle cx=\"%.1f\" cy=\"%.1f\" r=\"3\" fill=\"%s\"/>\n", axes.X(x),
                          axes.Y(y), series.color);
  }
  absl::StrAppendFormat(&svg, "<polyline points=\"%s\" fill=\"none\" stroke=\"%s\" stroke-width=\"2\"/>\n",
                        points, series.color);
  absl::StrAppendFormat(&svg, "<rect x=\"%.1f\" y=\"%.1f\" width=\"14\" height=\"4\" fill=\"%s\"/>\n",
                        kRight + 16, legend_y - 6, series.color);
  return svg + Text(kRight + 36, legend_y, series.name, "start");
}

}  // namespace

std::string LinePlot(const PlotLabels& labels, const std::vector<PlotSeries>& series) {
  const Axes axes(series);
  std::string svg =
      "<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"720\" height=\"440\" font-family=\"sans-serif\" "
      "font-size=\"13\">\n<rect width=\"720\" height=\"440\" fill=\"white\"/>\n";
  svg += Text((kLeft + kRight) / 2, 28, labels.title, "middle");
  for (double power = axes.y_min(); power <= axes.y_max(); ++power) {
    const double y = axes.Y(std::pow(10, power));
    svg += Line(kLeft, y, kRight, y, "#dddddd");
    svg += Text(kLeft - 8, y + 4, absl::StrFormat("%g", std::pow(10, power)), "end");
  }
  std::vector<double> ticks;
  for (const PlotSeries& line : series) {
    for (const auto& [x, y] : line.points) ticks.push_back(x);
  }
  std::sort(ticks.begin(), ticks.end());
  ticks.erase(std::unique(ticks.begin(), ticks.end()), ticks.end());
  const size_t stride = ticks.size() / kMostMarks + 1;
  for (size_t i = 0; i < ticks.size(); i += stride) {
    const double x = ticks[i];
    svg += Line(axes.X(x), kBottom, axes.X(x), kBottom + 5, "black");
    svg += Text(axes.X(x), kBottom + 20, absl::StrFormat("%g", x), "middle");
  }
  svg += Line(kLeft, kBottom, kRight, kBottom, "black") + Line(kLeft, kTop, kLeft, kBottom, "black");
  svg += Text((kLeft + kRight) / 2, kBottom + 44, labels.x, "middle");
  svg += Text(kLeft - 60, kTop - 12, labels.y, "start");
  double legend_y = kTop + 12;
  for (const PlotSeries& line : series) {
    svg += Curve(axes, line, legend_y);
    legend_y += 22;
  }
  return svg + "</svg>\n";
}

}  // namespace kandinsky
