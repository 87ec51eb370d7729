/* What a disk and a clock do to a process, preloaded into it: syncs that are slow, fail, or are
   noted; a clock on the wall that jumps, while timers and the times of files go on.

   FAULTS_CLOCK          a file with the seconds that the clock is ahead, -3600 for an hour behind
   FAULTS_DISK_CONTROL   a file with "ok", "slow MILLISECONDS" or "failing" (EIO of every sync)
   FAULTS_SYNC_LOG       a file that gets a line a sync and a rename */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <time.h>
#include <unistd.h>

static int note(const char *line, int length)
{
    const char *path = getenv("FAULTS_SYNC_LOG");
    int fd = path ? open(path, O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC, 0600) : -1;
    if (fd < 0) return 0;
    if (write(fd, line, length) < 0) { }
    return close(fd);
}

static int disturbed(void)
{
    char text[64] = "";
    const char *path = getenv("FAULTS_DISK_CONTROL");
    int fd = path ? open(path, O_RDONLY | O_CLOEXEC) : -1;
    if (fd < 0) return 0;
    if (read(fd, text, sizeof text - 1) < 0) text[0] = 0;
    close(fd);
    if (!strncmp(text, "failing", 7)) { errno = EIO; return 1; }
    if (!strncmp(text, "slow ", 5)) {
        long ms = atol(text + 5);
        struct timespec pause = {ms / 1000, (ms % 1000) * 1000000};
        nanosleep(&pause, NULL);
    }
    return 0;
}

static void synced(int fd)
{
    struct stat st;
    char line[128];
    if (fstat(fd, &st)) return;
    int n = snprintf(line, sizeof line, "%c %lu %lld %lld\n", S_ISDIR(st.st_mode) ? 'D' : 'S',
                     (unsigned long)st.st_ino, (long long)st.st_size,
                     (long long)st.st_mtim.tv_sec * 1000000000 + st.st_mtim.tv_nsec);
    note(line, n);
}

#define SYNC(name)                                                    \
    int name(int fd)                                                  \
    {                                                                 \
        static int (*real)(int);                                      \
        if (!real) real = (int (*)(int))dlsym(RTLD_NEXT, #name);      \
        if (disturbed()) return -1;                                   \
        int result = real(fd);                                        \
        int saved = errno;                                            \
        if (!result) synced(fd);                                      \
        errno = saved;                                                \
        return result;                                                \
    }
SYNC(fsync)
SYNC(fdatasync)

int rename(const char *old, const char *new)
{
    static int (*real)(const char *, const char *);
    if (!real) real = (int (*)(const char *, const char *))dlsym(RTLD_NEXT, "rename");
    struct stat before, parent;
    char folder[PATH_MAX], line[2 * PATH_MAX + 64];
    int replaces = !lstat(new, &before);
    int result = real(old, new), saved = errno;
    if (!result) {
        snprintf(folder, sizeof folder, "%s", new);
        char *slash = strrchr(folder, '/');
        if (slash) *slash = 0;
        if (slash && !stat(folder, &parent))
            note(line, snprintf(line, sizeof line, "R %lu %d\t%s\t%s\n",
                                (unsigned long)parent.st_ino, replaces, old, new));
    }
    errno = saved;
    return result;
}

/* Read again after 0.2 s. Two threads that read at once read the same. */
static long ahead(void)
{
    static volatile long offset;
    static volatile long long next;
    struct timespec now;
    const char *path = getenv("FAULTS_CLOCK");
    if (!path) return 0;
    syscall(SYS_clock_gettime, CLOCK_MONOTONIC, &now);
    long long ms = (long long)now.tv_sec * 1000 + now.tv_nsec / 1000000;
    if (ms >= next) {
        int saved = errno, fd = open(path, O_RDONLY | O_CLOEXEC);
        char text[32] = "";
        if (fd >= 0) {
            if (read(fd, text, sizeof text - 1) > 0) offset = atol(text);
            close(fd);
        }
        errno = saved;
        next = ms + 200;
    }
    return offset;
}

int clock_gettime(clockid_t clock, struct timespec *now)
{
    int result = (int)syscall(SYS_clock_gettime, clock, now);
    if (!result && (clock == CLOCK_REALTIME || clock == CLOCK_REALTIME_COARSE))
        now->tv_sec += ahead();
    return result;
}

int gettimeofday(struct timeval *restrict now, void *restrict zone)
{
    int result = (int)syscall(SYS_gettimeofday, now, zone);
    if (!result && now) now->tv_sec += ahead();
    return result;
}

time_t time(time_t *where)
{
    struct timespec now;
    clock_gettime(CLOCK_REALTIME, &now);
    if (where) *where = now.tv_sec;
    return now.tv_sec;
}
