#define _DEFAULT_SOURCE
#include "measure.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

uint64_t measure_now_ns(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (uint64_t)now.tv_sec * 1000000000u + (uint64_t)now.tv_nsec;
}

double measure_cpu_ns(void)
{
    struct timespec now;
    clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &now);
    return (double)now.tv_sec * 1e9 + (double)now.tv_nsec;
}

/* From VmHWM: getrusage's maximum also counts the parent's image before exec. */
static long peak_memory_kb(void)
{
    char line[128];
    long peak_kb = 0;
    FILE *status = fopen("/proc/self/status", "r");
    if (status == NULL) return 0;
    while (fgets(line, sizeof line, status) != NULL) {
        if (sscanf(line, "VmHWM: %ld", &peak_kb) == 1) break;
    }
    fclose(status);
    return peak_kb;
}

void measure_start(struct measure *measure, size_t operations)
{
    measure->latencies_ns = calloc(operations, sizeof(uint32_t));
    if (measure->latencies_ns == NULL) measure_fail("out of memory");
    measure->latency_count = 0;
    measure->latency_max = operations;
    measure->cpu_started_ns = measure_cpu_ns();
    measure->started_ns = measure_now_ns();
}

void measure_latency(struct measure *measure, uint64_t sent_ns)
{
    uint64_t took_ns = measure_now_ns() - sent_ns;
    if (measure->latency_count == measure->latency_max) return;
    measure->latencies_ns[measure->latency_count++] =
        took_ns > UINT32_MAX ? UINT32_MAX : (uint32_t)took_ns;
}

static int compare_u32(const void *a, const void *b)
{
    uint32_t left = *(const uint32_t *)a;
    uint32_t right = *(const uint32_t *)b;
    return (left > right) - (left < right);
}

static double percentile_us(const struct measure *measure, size_t percent)
{
    if (measure->latency_count == 0) return 0;
    return measure->latencies_ns[(measure->latency_count - 1) * percent / 100] / 1e3;
}

void measure_report(struct measure *measure, size_t operations)
{
    double seconds = (double)(measure_now_ns() - measure->started_ns) / 1e9;
    double cpu_ns = measure_cpu_ns() - measure->cpu_started_ns;
    qsort(measure->latencies_ns, measure->latency_count, sizeof(uint32_t), compare_u32);
    printf("rate=%.0f p50_us=%.1f p99_us=%.1f cpu_us=%.3f rss_kb=%ld\n",
           (double)operations / seconds, percentile_us(measure, 50), percentile_us(measure, 99),
           cpu_ns / 1e3 / (double)operations, peak_memory_kb());
    free(measure->latencies_ns);
}

void measure_percentiles(struct measure *measure, const char *name)
{
    qsort(measure->latencies_ns, measure->latency_count, sizeof(uint32_t), compare_u32);
    printf("%s_p50_us=%.1f %s_p99_us=%.1f ", name, percentile_us(measure, 50), name,
           percentile_us(measure, 99));
    free(measure->latencies_ns);
}

void measure_fail(const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    vfprintf(stderr, format, arguments);
    va_end(arguments);
    fputc('\n', stderr);
    exit(1);
}
