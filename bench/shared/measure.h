/* What every C program here reports: rate, latency, CPU time and memory of its own process. */
#ifndef BENCH_MEASURE_H
#define BENCH_MEASURE_H

#include <stddef.h>
#include <stdint.h>

/* With many requests in flight every tenth is timed: the clock is read often enough to cost
 * something, and the Lua and Python programs pay more for it. */
#define MEASURE_SAMPLE_EVERY 10

struct measure {
    uint64_t started_ns;
    double cpu_started_ns;
    uint32_t *latencies_ns;
    size_t latency_count;
    size_t latency_max;
};

uint64_t measure_now_ns(void);
double measure_cpu_ns(void); /* of this process: the machine may have other work */
void measure_start(struct measure *measure, size_t operations);
void measure_latency(struct measure *measure, uint64_t sent_ns);
/* Prints one line of name=value and releases what `start` took. */
void measure_report(struct measure *measure, size_t operations);
/* Prints only NAME_p50_us=, NAME_p99_us= and a space, and releases what `start` took. */
void measure_percentiles(struct measure *measure, const char *name);

/* Prints and ends the process: a benchmark has no use for half a result. */
_Noreturn void measure_fail(const char *format, ...) __attribute__((format(printf, 1, 2)));

#endif
