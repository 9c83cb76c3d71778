/*
 * dlsym for a static program on MIPS. There is nothing to find: musl's own answers the same, after a jump that counts on
 * register $25, which only position-independent callers set. Ours are not (see ci/cross.sh), so they crash there; rustix
 * asks dlsym for statx at the first stat. Compiled C sets up its own registers.
 */
void *dlsym(void *handle, const char *name)
{
	(void)handle;
	(void)name;
	return 0;
}
