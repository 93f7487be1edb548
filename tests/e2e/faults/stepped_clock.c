/* Preloaded into a process, steps its wall clock by the seconds in the file $STEPPED_CLOCK, and
 * leaves its monotonic one alone, as an administrator or a time server does. The kernel knows
 * nothing of it: what waits there until a time of the wall clock is told the true one. */

#define _GNU_SOURCE
#include <dlfcn.h>
#include <fcntl.h>
#include <linux/futex.h>
#include <pthread.h>
#include <semaphore.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <time.h>
#include <unistd.h>

static volatile int64_t *step;

__attribute__((constructor)) static void begin(void) {
  const char *path = getenv("STEPPED_CLOCK");
  int file = path ? open(path, O_RDONLY | O_CLOEXEC) : -1;
  if (file < 0) return;
  void *mapped = mmap(NULL, sizeof *step, PROT_READ, MAP_SHARED, file, 0);
  close(file);
  if (mapped != MAP_FAILED) step = mapped;
}

static time_t stepped(void) { return step ? (time_t)*step : 0; }

#define REAL(name) ((__typeof__(&name))dlsym(RTLD_NEXT, #name))

int clock_gettime(clockid_t clock, struct timespec *now) {
  static __typeof__(&clock_gettime) real;
  if (!real) real = REAL(clock_gettime);
  int failed = real(clock, now);
  if (!failed && (clock == CLOCK_REALTIME || clock == CLOCK_REALTIME_COARSE))
    now->tv_sec += stepped();
  return failed;
}

int gettimeofday(struct timeval *restrict now, void *restrict zone) {
  (void)zone;
  struct timespec found;
  if (clock_gettime(CLOCK_REALTIME, &found)) return -1;
  now->tv_sec = found.tv_sec;
  now->tv_usec = found.tv_nsec / 1000;
  return 0;
}

time_t time(time_t *also) {
  struct timespec now;
  clock_gettime(CLOCK_REALTIME, &now);
  if (also) *also = now.tv_sec;
  return now.tv_sec;
}

/* A wait may be by the monotonic clock too, which began when the machine did. */
enum { WALL_FROM_S = 1000000000 };

static struct timespec as_the_kernel_knows_it(const struct timespec *until) {
  time_t wall = until->tv_sec > WALL_FROM_S ? stepped() : 0;
  return (struct timespec){until->tv_sec - wall, until->tv_nsec};
}

int sem_timedwait(sem_t *restrict semaphore, const struct timespec *restrict until) {
  struct timespec kernel = as_the_kernel_knows_it(until);
  return REAL(sem_timedwait)(semaphore, &kernel);
}

int pthread_cond_timedwait(pthread_cond_t *restrict condition, pthread_mutex_t *restrict mutex,
                           const struct timespec *restrict until) {
  struct timespec kernel = as_the_kernel_knows_it(until);
  return REAL(pthread_cond_timedwait)(condition, mutex, &kernel);
}

long syscall(long number, ...) {
  static __typeof__(&syscall) real;
  if (!real) real = REAL(syscall);
  long a[6];
  va_list given;
  va_start(given, number);
  for (int i = 0; i < 6; i++) a[i] = va_arg(given, long);
  va_end(given);
  struct timespec kernel;
  if (number == SYS_futex && (a[1] & FUTEX_CLOCK_REALTIME) && a[3]) {
    kernel = as_the_kernel_knows_it((const struct timespec *)a[3]);
    a[3] = (long)&kernel;
  }
  return real(number, a[0], a[1], a[2], a[3], a[4], a[5]);
}
