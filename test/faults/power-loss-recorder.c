/*
 * Writes down what a process does to the file data.mdb of one directory, for the tests of power loss: RECORD_DIRECTORY is the directory, as a
 * real path, and RECORD_FILE where the record goes. Nothing is changed or held back.
 *
 * Each event is { u32 kind, u32 length of the payload, u64 number, u64 offset in the file } in the byte order of the machine, and the payload:
 *   1  write: its number, where, the bytes; noted before it is made
 *   2  the write with this number was made through a descriptor that syncs (O_DSYNC), and has returned
 *   3  fdatasync or fsync begins     4  the one with this number has returned without an error
 *   5  the directory was synced      6  its parent was synced
 *   7  a line was written to the file `acknowledged`: the payload
 *   8  something that is not modelled: the file was mapped for writing, or cut
 *
 * Build: cc -shared -fPIC -o recorder.so power-loss-recorder.c -ldl -lpthread, and preload it.
 */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <fcntl.h>
#include <limits.h>
#include <pthread.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/types.h>
#include <sys/uio.h>
#include <unistd.h>

enum { WRITE = 1, MADE, SYNC, SYNCED, DIRECTORY, PARENT, LINE, UNKNOWN };
enum { OTHER, DATA, ACKNOWLEDGED, ITSELF, ABOVE };

struct event {
  uint32_t kind, length;
  uint64_t number, at;
};

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static int record = -1;
static uint64_t last;

static void put(const void *bytes, size_t size) {
  for (const char *from = bytes; size > 0;) {
    ssize_t written = syscall(SYS_write, record, from, size);
    if (written <= 0) abort();
    from += written;
    size -= written;
  }
}

/* Notes an event, and gives it a number if it has none. */
static uint64_t note(uint32_t kind, uint64_t number, uint64_t at, const struct iovec *parts, int count) {
  struct event event = {kind, 0, number, at};
  for (int i = 0; i < count; i++) event.length += parts[i].iov_len;
  pthread_mutex_lock(&lock);
  if (record < 0) {
    record = syscall(SYS_openat, AT_FDCWD, getenv("RECORD_FILE"), O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600);
    if (record < 0) abort();
  }
  if (number == 0) event.number = ++last;
  put(&event, sizeof event);
  for (int i = 0; i < count; i++) put(parts[i].iov_base, parts[i].iov_len);
  pthread_mutex_unlock(&lock);
  return event.number;
}

/* What a descriptor is open for. */
static int what(int fd) {
  char link[32], path[PATH_MAX], wanted[PATH_MAX];
  const char *directory = getenv("RECORD_DIRECTORY");
  if (directory == NULL || fd < 0) return OTHER;
  snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
  ssize_t length = readlink(link, path, sizeof path - 1);
  if (length < 0) return OTHER;
  path[length] = 0;
  if (strcmp(path, directory) == 0) return ITSELF;
  snprintf(wanted, sizeof wanted, "%s/data.mdb", directory);
  if (strcmp(path, wanted) == 0) return DATA;
  snprintf(wanted, sizeof wanted, "%s/acknowledged", directory);
  if (strcmp(path, wanted) == 0) return ACKNOWLEDGED;
  const char *name = strrchr(directory, '/');
  return length == name - directory && strncmp(path, directory, length) == 0 ? ABOVE : OTHER;
}

static uint64_t begin(int fd, int is, uint64_t at, const struct iovec *parts, int count) {
  if (is == ACKNOWLEDGED) note(LINE, 0, 0, parts, count);
  return is == DATA ? note(WRITE, 0, at, parts, count) : 0;
}

static void end(int fd, uint64_t number, ssize_t result) {
  if (number != 0 && result >= 0 && (fcntl(fd, F_GETFL) & O_DSYNC) != 0) note(MADE, number, 0, NULL, 0);
}

ssize_t pwrite64(int fd, const void *bytes, size_t size, off64_t at) {
  static ssize_t (*real)(int, const void *, size_t, off64_t);
  if (real == NULL) real = dlsym(RTLD_NEXT, "pwrite64");
  struct iovec part = {(void *)bytes, size};
  uint64_t number = begin(fd, what(fd), at, &part, 1);
  ssize_t result = real(fd, bytes, size, at);
  end(fd, number, result);
  return result;
}

ssize_t pwrite(int fd, const void *bytes, size_t size, off_t at) { return pwrite64(fd, bytes, size, at); }

ssize_t write(int fd, const void *bytes, size_t size) {
  static ssize_t (*real)(int, const void *, size_t);
  if (real == NULL) real = dlsym(RTLD_NEXT, "write");
  struct iovec part = {(void *)bytes, size};
  int is = what(fd);
  uint64_t number = begin(fd, is, is == DATA ? lseek(fd, 0, SEEK_CUR) : 0, &part, 1);
  ssize_t result = real(fd, bytes, size);
  end(fd, number, result);
  return result;
}

ssize_t writev(int fd, const struct iovec *parts, int count) {
  static ssize_t (*real)(int, const struct iovec *, int);
  if (real == NULL) real = dlsym(RTLD_NEXT, "writev");
  int is = what(fd);
  uint64_t number = begin(fd, is, is == DATA ? lseek(fd, 0, SEEK_CUR) : 0, parts, count);
  ssize_t result = real(fd, parts, count);
  end(fd, number, result);
  return result;
}

ssize_t pwritev64(int fd, const struct iovec *parts, int count, off64_t at) {
  static ssize_t (*real)(int, const struct iovec *, int, off64_t);
  if (real == NULL) real = dlsym(RTLD_NEXT, "pwritev64");
  uint64_t number = begin(fd, what(fd), at, parts, count);
  ssize_t result = real(fd, parts, count, at);
  end(fd, number, result);
  return result;
}

ssize_t pwritev(int fd, const struct iovec *parts, int count, off_t at) { return pwritev64(fd, parts, count, at); }

static int synced(const char *name, int fd) {
  int (*real)(int) = dlsym(RTLD_NEXT, name);
  int is = what(fd);
  uint64_t number = is == DATA ? note(SYNC, 0, 0, NULL, 0) : 0;
  int result = real(fd);
  if (result != 0) return result;
  if (is == DATA) note(SYNCED, number, 0, NULL, 0);
  if (is == ITSELF) note(DIRECTORY, 0, 0, NULL, 0);
  if (is == ABOVE) note(PARENT, 0, 0, NULL, 0);
  return result;
}

int fdatasync(int fd) { return synced("fdatasync", fd); }

int fsync(int fd) { return synced("fsync", fd); }

int ftruncate64(int fd, off64_t size) {
  int (*real)(int, off64_t) = dlsym(RTLD_NEXT, "ftruncate64");
  if (what(fd) == DATA) note(UNKNOWN, 0, 0, NULL, 0);
  return real(fd, size);
}

int ftruncate(int fd, off_t size) { return ftruncate64(fd, size); }

void *mmap64(void *address, size_t size, int protection, int flags, int fd, off64_t at) {
  if ((protection & PROT_WRITE) != 0 && (flags & MAP_SHARED) != 0 && what(fd) == DATA) note(UNKNOWN, 0, 0, NULL, 0);
  return (void *)syscall(SYS_mmap, address, size, protection, flags, fd, at);
}

void *mmap(void *address, size_t size, int protection, int flags, int fd, off_t at) {
  return mmap64(address, size, protection, flags, fd, at);
}
