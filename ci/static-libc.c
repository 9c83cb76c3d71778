/*
 * Two functions of musl that a static program does better without.
 *
 * pthread_setname_np: musl's own prints the path of another thread's file in /proc, and with it comes all of printf, which
 * needs floating point: 15 KiB of MIPS. The standard library names a thread only from within that thread.
 *
 * dlsym, on MIPS: there is nothing to find, and musl's own answers the same, after a jump that counts on register $25,
 * which only position-independent callers set. Ours are not (see ci/cross.sh), so they crash there; rustix asks dlsym for
 * statx at the first stat. Compiled C sets up its own registers.
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
