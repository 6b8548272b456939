/*
 * Makes the disk fail on request, for the tests of src/kv/lmdb: while a file of this name is in the directory FAULTS,
 *   page  writes of pages fail with ENOSPC
 *   sync  fdatasync fails with EIO
 *   head  writes of lmdb's head, which are shorter than a page, fail with EIO
 *
 * Build: cc -shared -fPIC -o kv-failing-writes.so kv-failing-writes.c -ldl, and preload it.
 */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/types.h>
#include <sys/uio.h>
#include <unistd.h>

static int asked(const char *name) {
  char path[4096];
  const char *directory = getenv("FAULTS");
  if (directory == NULL) return 0;
  snprintf(path, sizeof path, "%s/%s", directory, name);
  return access(path, F_OK) == 0;
}

int fdatasync(int fd) {
  int (*real)(int) = dlsym(RTLD_NEXT, "fdatasync");
  if (asked("sync")) {
    errno = EIO;
    return -1;
  }
  return real(fd);
}

ssize_t pwrite64(int fd, const void *bytes, size_t size, off64_t at) {
  ssize_t (*real)(int, const void *, size_t, off64_t) = dlsym(RTLD_NEXT, "pwrite64");
  if (size >= 4096 && asked("page")) {
    errno = ENOSPC;
    return -1;
  }
  if (size < 4096 && asked("head")) {
    errno = EIO;
    return -1;
  }
  return real(fd, bytes, size, at);
}

ssize_t pwrite(int fd, const void *bytes, size_t size, off_t at) {
  return pwrite64(fd, bytes, size, at);
}

ssize_t writev(int fd, const struct iovec *parts, int count) {
  ssize_t (*real)(int, const struct iovec *, int) = dlsym(RTLD_NEXT, "writev");
  if (parts[0].iov_len >= 4096 && asked("page")) {
    errno = ENOSPC;
    return -1;
  }
  return real(fd, parts, count);
}
