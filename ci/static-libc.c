/*
 * Replacements for two functions of musl in the static program.
 *
 * pthread_setname_np: musl's version formats the path of another thread's file in /proc and so links all of printf, which
 * needs floating point: 15 KiB on MIPS. The standard library sets a thread's name only from within that thread.
 *
 * dlsym, on MIPS: a static program has no symbols to find, and musl's version returns the same, but only after a jump that
 * relies on register $25, which only position-independent callers set. This program's callers are not position-independent
 * (see ci/cross.sh) and crash there; rustix calls dlsym for statx at the first stat. Compiled C sets up its own registers.
 */
#include <errno.h>
#include <pthread.h>
#include <sys/prctl.h>

int pthread_setname_np(pthread_t thread, const char *name)
{
	if (thread != pthread_self())
		return ESRCH;
	return prctl(PR_SET_NAME, name) ? errno : 0;
}

#ifdef __mips__
void *dlsym(void *handle, const char *name)
{
	(void)handle;
	(void)name;
	return 0;
}
#endif
