/// Linux's epoll and eventfd, and GNU functions, which the Glibc module does not offer.
#pragma once
#include <pthread.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <unistd.h>

extern int accept4(int descriptor, struct sockaddr *address, socklen_t *size, int flags);
extern void *memmem(const void *haystack, size_t haystack_size, const void *needle, size_t needle_size);
extern int pthread_setname_np(pthread_t thread, const char *name);
