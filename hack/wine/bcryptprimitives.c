// SPDX-License-Identifier: Apache-2.0
//
// Programs in Go ask bcryptprimitives.dll for random bytes. Wine 8 has none; this is one for its
// tests, and hands on what Wine's RtlGenRandom gives, which has this other name.

#include <windows.h>

BOOLEAN NTAPI SystemFunction036(PVOID, ULONG);

__declspec(dllexport) BOOL WINAPI ProcessPrng(PBYTE data, SIZE_T size)
{
	return SystemFunction036(data, (ULONG)size);
}
