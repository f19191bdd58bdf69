// Makes confseq.json: beta-binomial confidence sequences by the library of their authors (PyPI `confseq` 0.0.11,
// MIT, its header `src/confseq/uniform_boundaries.h`; needs Boost):
//   g++ -std=c++14 -I confseq-0.0.11/src/confseq confseq.cpp -o confseq && ./confseq > confseq.json
#include <cassert>
#include <cmath>
#include <cstdio>
#include <functional>
#include "uniform_boundaries.h"

int main() {
  const double cases[][2] = {{0, 10},      {1, 10},       {5, 20},     {20, 400},  {100, 1000},
                             {30, 1000},   {999, 1000},   {250, 5000}, {400, 400}, {60, 120}};
  const int n = sizeof(cases) / sizeof(cases[0]);
  printf("[\n");
  for (int i = 0; i < n; i++) {
    for (double alpha : {0.05, 0.01}) {
      auto interval = confseq::bernoulli_confidence_interval(cases[i][0], (int)cases[i][1], alpha, 1000, 0.05);
      printf("  {\"successes\": %g, \"trials\": %g, \"alpha\": %g, \"t_opt\": 1000, \"lower\": %.12g, \"upper\": %.12g}%s\n",
             cases[i][0], cases[i][1], alpha, interval.first, interval.second, i == n - 1 && alpha < 0.02 ? "" : ",");
    }
  }
  printf("]\n");
}
