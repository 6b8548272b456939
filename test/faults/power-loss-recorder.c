/*
 * Writes down what a process does to the files data.mdb and the directories below one directory, for the tests of power loss: RECORD_DIRECTORY is
 * the directory, as a real path, and RECORD_FILE where the record goes. Nothing is changed or held back.
 *
 * Each event is { u32 kind, u32 length of the path, u32 length of the payload, u32 0, u64 number, u64 offset in the file } in the byte order of
 * the machine, a path below the directory ("" is the directory itself), and the payload:
 *   1  write: its number, where, the bytes; noted before it is made
 *   2  the write with this number was made through a descriptor that syncs (O_DSYNC), and has returned
 *   3  fdatasync or fsync of a file or directory begins     4  the one with this number has returned without an error
 *   5  a directory was made     6  it was removed     7  a file was removed     8  path was renamed: the payload is the new one
 *   9  a line was written to the file `acknowledged`: the payload
 *  10  something that is not modelled: a file was mapped for writing, or cut
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
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/types.h>
#include <sys/uio.h>
#include <unistd.h>

enum { WRITE = 1, MADE, SYNC, SYNCED, MKDIR, RMDIR, UNLINK, RENAME, LINE, UNKNOWN };
enum { OTHER, DATA, ACKNOWLEDGED, DIRECTORY };

struct event {
  uint32_t kind, path_length, length, unused;
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
static uint64_t note(uint32_t kind, const char *path, uint64_t number, uint64_t at, const struct iovec *parts, int count) {
  struct event event = {kind, strlen(path), 0, 0, number, at};
  for (int i = 0; i < count; i++) event.length += parts[i].iov_len;
  pthread_mutex_lock(&lock);
  if (record < 0) {
    record = syscall(SYS_openat, AT_FDCWD, getenv("RECORD_FILE"), O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600);
    if (record < 0) abort();
  }
  if (number == 0) event.number = ++last;
  put(&event, sizeof event);
  put(path, event.path_length);
  for (int i = 0; i < count; i++) put(parts[i].iov_base, parts[i].iov_len);
  pthread_mutex_unlock(&lock);
  return event.number;
}

/* The part of a path below the directory, NULL for all others. */
static const char *below(const char *path) {
  const char *directory = getenv("RECORD_DIRECTORY");
  if (directory == NULL) return NULL;
  size_t length = strlen(directory);
  if (strncmp(path, directory, length) != 0) return NULL;
  if (path[length] == 0) return path + length;
  return path[length] == '/' ? path + length + 1 : NULL;
}

/* What a descriptor is open for, and its path below the directory. */
static int what(int fd, char path[PATH_MAX]) {
  char link[32], whole[PATH_MAX];
  struct stat status;
  if (fd < 0) return OTHER;
  snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
  ssize_t length = readlink(link, whole, sizeof whole - 1);
  if (length < 0) return OTHER;
  whole[length] = 0;
  const char *found = below(whole);
  if (found == NULL) return OTHER;
  strcpy(path, found);
  if (strcmp(path, "acknowledged") == 0) return ACKNOWLEDGED;
  const char *name = strrchr(path, '/');
  if (name != NULL && strcmp(name, "/data.mdb") == 0) return DATA;
  return fstat(fd, &status) == 0 && S_ISDIR(status.st_mode) ? DIRECTORY : OTHER;
}

/* Notes a write to fd, at the place where it stands if at is negative. Returns its number, 0 for one that is not noted. */
static uint64_t begin(int fd, int64_t at, const struct iovec *parts, int count) {
  char path[PATH_MAX];
  int is = what(fd, path);
  if (is == ACKNOWLEDGED) note(LINE, path, 0, 0, parts, count);
  if (is != DATA) return 0;
  return note(WRITE, path, 0, at >= 0 ? at : lseek(fd, 0, SEEK_CUR), parts, count);
}

static void end(int fd, uint64_t number, ssize_t result) {
  if (number != 0 && result >= 0 && (fcntl(fd, F_GETFL) & O_DSYNC) != 0) note(MADE, "", number, 0, NULL, 0);
}

ssize_t pwrite64(int fd, const void *bytes, size_t size, off64_t at) {
  static ssize_t (*real)(int, const void *, size_t, off64_t);
  if (real == NULL) real = dlsym(RTLD_NEXT, "pwrite64");
  struct iovec part = {(void *)bytes, size};
  uint64_t number = begin(fd, at, &part, 1);
  ssize_t result = real(fd, bytes, size, at);
  end(fd, number, result);
  return result;
}

ssize_t pwrite(int fd, const void *bytes, size_t size, off_t at) { return pwrite64(fd, bytes, size, at); }

ssize_t write(int fd, const void *bytes, size_t size) {
  static ssize_t (*real)(int, const void *, size_t);
  if (real == NULL) real = dlsym(RTLD_NEXT, "write");
  struct iovec part = {(void *)bytes, size};
  uint64_t number = begin(fd, -1, &part, 1);
  ssize_t result = real(fd, bytes, size);
  end(fd, number, result);
  return result;
}

ssize_t writev(int fd, const struct iovec *parts, int count) {
  static ssize_t (*real)(int, const struct iovec *, int);
  if (real == NULL) real = dlsym(RTLD_NEXT, "writev");
  uint64_t number = begin(fd, -1, parts, count);
  ssize_t result = real(fd, parts, count);
  end(fd, number, result);
  return result;
}

ssize_t pwritev64(int fd, const struct iovec *parts, int count, off64_t at) {
  static ssize_t (*real)(int, const struct iovec *, int, off64_t);
  if (real == NULL) real = dlsym(RTLD_NEXT, "pwritev64");
  uint64_t number = begin(fd, at, parts, count);
  ssize_t result = real(fd, parts, count, at);
  end(fd, number, result);
  return result;
}

ssize_t pwritev(int fd, const struct iovec *parts, int count, off_t at) { return pwritev64(fd, parts, count, at); }

static int synced(const char *name, int fd) {
  int (*real)(int) = dlsym(RTLD_NEXT, name);
  char path[PATH_MAX];
  int is = what(fd, path);
  uint64_t number = is == DATA || is == DIRECTORY ? note(SYNC, path, 0, 0, NULL, 0) : 0;
  int result = real(fd);
  if (number != 0 && result == 0) note(SYNCED, path, number, 0, NULL, 0);
  return result;
}

int fdatasync(int fd) { return synced("fdatasync", fd); }

int fsync(int fd) { return synced("fsync", fd); }

/* Notes a change of names that was made. Whatever comes of it is noted behind. */
static int named(uint32_t kind, const char *path, const char *to, int result) {
  const char *from = below(path), *target = to == NULL ? NULL : below(to);
  if (result != 0 || from == NULL) return result;
  struct iovec part = {(void *)target, target == NULL ? 0 : strlen(target)};
  note(kind, from, 0, 0, &part, 1);
  return result;
}

int mkdir(const char *path, mode_t mode) {
  int (*real)(const char *, mode_t) = dlsym(RTLD_NEXT, "mkdir");
  return named(MKDIR, path, NULL, real(path, mode));
}

int rmdir(const char *path) {
  int (*real)(const char *) = dlsym(RTLD_NEXT, "rmdir");
  return named(RMDIR, path, NULL, real(path));
}

int unlink(const char *path) {
  int (*real)(const char *) = dlsym(RTLD_NEXT, "unlink");
  return named(UNLINK, path, NULL, real(path));
}

int rename(const char *path, const char *to) {
  int (*real)(const char *, const char *) = dlsym(RTLD_NEXT, "rename");
  return named(RENAME, path, to, real(path, to));
}

static void unknown(int fd) {
  char path[PATH_MAX];
  if (what(fd, path) == DATA) note(UNKNOWN, path, 0, 0, NULL, 0);
}

int ftruncate64(int fd, off64_t size) {
  int (*real)(int, off64_t) = dlsym(RTLD_NEXT, "ftruncate64");
  unknown(fd);
  return real(fd, size);
}

int ftruncate(int fd, off_t size) { return ftruncate64(fd, size); }

void *mmap64(void *address, size_t size, int protection, int flags, int fd, off64_t at) {
  if ((protection & PROT_WRITE) != 0 && (flags & MAP_SHARED) != 0) unknown(fd);
  return (void *)syscall(SYS_mmap, address, size, protection, flags, fd, at);
}

void *mmap(void *address, size_t size, int protection, int flags, int fd, off_t at) {
  return mmap64(address, size, protection, flags, fd, at);
}
