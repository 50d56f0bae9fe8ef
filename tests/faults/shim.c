/* Makes chosen system calls of a program go wrong. Loaded with LD_PRELOAD into the service and its
   hands, it counts the calls that touch paths with a given text in them, over all processes, and
   strikes at those numbers that the control file says (see helpers/shim.py, which writes it). The
   file is mapped by everyone, so faults come and go while the service runs. */

#define _GNU_SOURCE
#include <dirent.h>
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <signal.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/types.h>
#include <unistd.h>

enum call { OPEN, READ, WRITE, PWRITE, FSYNC, FSYNC_FOLDER, FDATASYNC, RENAME, LINK, UNLINK, MKDIR,
            STAT, LIST, TRUNCATE };
static const char *const NAMES[] = {"open", "read", "write", "pwrite", "fsync", "fsync_folder",
                                    "fdatasync", "rename", "link", "unlink", "mkdir", "stat",
                                    "list", "truncate"};
enum action { NOTHING = 0, KILL = -1, TORN = -2, PRETEND = -3, SHORT = -4, COUNT = -5, SWAP = -6,
              CRASH = -100 }; /* CRASH - a signal's number: the caller dies of it */
enum verdict { GO_ON, FAIL, SKIP, HALF, HALF_THEN_DIE };

struct rule {
    uint64_t calls, first, last, counted, hits;
    int64_t action; /* above 0: an errno */
    char under[512], what[512], other[512];
};
struct control {
    int64_t service;
    struct rule rules[2];
};
static struct control *control;

__attribute__((constructor)) static void begin(void) {
    const char *path = getenv("RETOUCHD_TEST_FAULTS");
    int fd = path ? open(path, O_RDWR | O_CLOEXEC) : -1;
    if (fd < 0) return;
    void *mapped = mmap(NULL, sizeof *control, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    close(fd);
    if (mapped != MAP_FAILED) control = mapped;
}

static int armed(enum call call) {
    for (int i = 0; control && i < 2; i++)
        if (control->rules[i].action && control->rules[i].calls >> call & 1) return 1;
    return 0;
}

/* The absolute path of a name in a folder, or of an open file where the name is NULL. */
static void locate(int fd, const char *name, char *out) {
    char link[64];
    size_t used = 0;
    out[0] = 0;
    if (!name || (name[0] != '/' && fd != AT_FDCWD)) {
        snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
        ssize_t got = readlink(link, out, PATH_MAX - 1);
        used = got > 0 ? (size_t)got : 0;
    } else if (name[0] != '/') {
        used = getcwd(out, PATH_MAX) ? strlen(out) : 0;
    }
    out[used] = 0;
    if (name && used < PATH_MAX - 2)
        snprintf(out + used, PATH_MAX - used, "%s%s", name[0] == '/' ? "" : "/", name);
}

static void die(void) {
    if (control->service > 1) kill((pid_t)control->service, SIGKILL);
    kill(getpid(), SIGKILL);
    for (;;) pause();
}

/* The process that makes the call dies, and nobody else: as by a fault in a decoder. */
static void crash(int number) {
    signal(number, SIG_DFL);
    kill(getpid(), number);
    for (;;) pause();
}

static enum verdict judge(enum call call, int fd, const char *name) {
    if (!armed(call)) return GO_ON;
    int before = errno;
    char path[PATH_MAX];
    locate(fd, name, path);
    errno = before;
    for (int i = 0; i < 2; i++) {
        struct rule *rule = &control->rules[i];
        int64_t action = rule->action;
        if (!action || !(rule->calls >> call & 1) || !strstr(path, rule->under)) continue;
        uint64_t number = __atomic_add_fetch(&rule->counted, 1, __ATOMIC_SEQ_CST);
        if (action == COUNT || number < rule->first || number > rule->last) continue;
        if (__atomic_fetch_add(&rule->hits, 1, __ATOMIC_SEQ_CST) == 0)
            snprintf(rule->what, sizeof rule->what, "%s %.480s", NAMES[call], path);
        if (action <= CRASH) crash((int)(CRASH - action));
        if (action == SWAP) {
            /* Somebody is quick: right before the call two names change places. */
            syscall(SYS_renameat2, AT_FDCWD, rule->under, AT_FDCWD, rule->other, 2);
            errno = before;
            continue;
        }
        if (action == KILL) die();
        if (action == TORN) return HALF_THEN_DIE;
        if (action == PRETEND) return SKIP;
        if (action == SHORT) return HALF;
        errno = (int)action;
        return FAIL;
    }
    return GO_ON;
}

#define REAL(name, ...)                                                       \
    static __typeof__(name) *real;                                            \
    if (!real) real = (__typeof__(name) *)dlsym(RTLD_NEXT, #name);            \
    (void)0

#define PLAIN(call, fd, path, type, name, declared, ...)                      \
    type name declared {                                                      \
        REAL(name);                                                           \
        enum verdict verdict = judge(call, fd, path);                         \
        if (verdict == HALF_THEN_DIE) die();                                  \
        if (verdict == FAIL) return (type)-1;                                 \
        if (verdict == SKIP) return (type)0;                                  \
        return real(__VA_ARGS__);                                             \
    }

#define SIZED(call, type, name, declared, size, ...)                          \
    ssize_t name declared {                                                   \
        REAL(name);                                                           \
        enum verdict verdict = judge(call, fd, NULL);                         \
        if (verdict == FAIL) return -1;                                       \
        if (verdict == SKIP) return (ssize_t)size;                            \
        if (verdict == HALF || verdict == HALF_THEN_DIE) size = (size + 1) / 2; \
        ssize_t done = real(__VA_ARGS__);                                     \
        if (verdict == HALF_THEN_DIE) die();                                  \
        return done;                                                          \
    }

#define OPENING(name, declared, dirfd, ...)                                   \
    int name declared {                                                       \
        REAL(name);                                                           \
        mode_t mode = 0;                                                      \
        if (flags & (O_CREAT | __O_TMPFILE)) {                                \
            va_list rest;                                                     \
            va_start(rest, flags);                                            \
            mode = va_arg(rest, mode_t);                                      \
            va_end(rest);                                                     \
        }                                                                     \
        enum verdict verdict = judge(OPEN, dirfd, path);                      \
        if (verdict == HALF_THEN_DIE) die();                                  \
        return verdict == FAIL ? -1 : real(__VA_ARGS__, mode);                \
    }

OPENING(open, (const char *path, int flags, ...), AT_FDCWD, path, flags)
OPENING(open64, (const char *path, int flags, ...), AT_FDCWD, path, flags)
OPENING(openat, (int fd, const char *path, int flags, ...), fd, fd, path, flags)
OPENING(openat64, (int fd, const char *path, int flags, ...), fd, fd, path, flags)

SIZED(READ, ssize_t, read, (int fd, void *data, size_t size), size, fd, data, size)
SIZED(READ, ssize_t, pread, (int fd, void *data, size_t size, off_t at), size, fd, data, size, at)
SIZED(READ, ssize_t, pread64, (int fd, void *data, size_t size, off64_t at), size, fd, data, size, at)
SIZED(WRITE, ssize_t, write, (int fd, const void *data, size_t size), size, fd, data, size)
SIZED(PWRITE, ssize_t, pwrite, (int fd, const void *data, size_t size, off_t at), size, fd, data,
      size, at)
SIZED(PWRITE, ssize_t, pwrite64, (int fd, const void *data, size_t size, off64_t at), size, fd,
      data, size, at)

PLAIN(FDATASYNC, fd, NULL, int, fdatasync, (int fd), fd)
PLAIN(TRUNCATE, fd, NULL, int, ftruncate, (int fd, off_t size), fd, size)
PLAIN(TRUNCATE, fd, NULL, int, ftruncate64, (int fd, off64_t size), fd, size)
/* Who swaps names does so before a call that takes one away, too. */
static int swaps(void) {
    return control && (control->rules[0].action == SWAP || control->rules[1].action == SWAP);
}

#define RENAMING(from_fd, fd, name, declared, ...)                            \
    int name declared {                                                       \
        REAL(name);                                                           \
        if (swaps()) judge(RENAME, from_fd, from);                            \
        enum verdict verdict = judge(RENAME, fd, to);                         \
        if (verdict == HALF_THEN_DIE) die();                                  \
        return verdict == FAIL ? -1 : verdict == SKIP ? 0 : real(__VA_ARGS__); \
    }

RENAMING(AT_FDCWD, AT_FDCWD, rename, (const char *from, const char *to), from, to)
RENAMING(here, there, renameat, (int here, const char *from, int there, const char *to),
         here, from, there, to)
RENAMING(here, there, renameat2,
         (int here, const char *from, int there, const char *to, unsigned flags), here, from, there,
         to, flags)
PLAIN(LINK, there, to, int, linkat,
      (int here, const char *from, int there, const char *to, int flags), here, from, there, to,
      flags)
PLAIN(UNLINK, AT_FDCWD, path, int, unlink, (const char *path), path)
PLAIN(UNLINK, fd, path, int, unlinkat, (int fd, const char *path, int flags), fd, path, flags)
PLAIN(MKDIR, AT_FDCWD, path, int, mkdir, (const char *path, mode_t mode), path, mode)
PLAIN(MKDIR, fd, path, int, mkdirat, (int fd, const char *path, mode_t mode), fd, path, mode)
PLAIN(STAT, AT_FDCWD, path, int, stat64, (const char *path, struct stat64 *to), path, to)
PLAIN(STAT, fd, path, int, fstatat64,
      (int fd, const char *path, struct stat64 *to, int flags), fd, path, to, flags)

int fsync(int fd) {
    REAL(fsync);
    struct stat found;
    int folder = control && fstat(fd, &found) == 0 && S_ISDIR(found.st_mode);
    enum verdict verdict = judge(folder ? FSYNC_FOLDER : FSYNC, fd, NULL);
    if (verdict == HALF_THEN_DIE) die();
    return verdict == FAIL ? -1 : verdict == SKIP ? 0 : real(fd);
}

struct dirent64 *readdir64(DIR *folder) {
    REAL(readdir64);
    enum verdict verdict = judge(LIST, dirfd(folder), NULL);
    if (verdict == HALF_THEN_DIE) die();
    return verdict == FAIL ? NULL : real(folder);
}
