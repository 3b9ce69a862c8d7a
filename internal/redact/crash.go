// SPDX-License-Identifier: Apache-2.0

package redact

import (
	"fmt"
	"runtime"
	"strings"
)

// Crash is a panic without its value, which may quote data.
type Crash string

// Error says of what kind the value was, and where the panic began.
func (c Crash) Error() string { return string(c) }

// Crashed describes a panic that was just recovered: its kind, and the functions from
// the one that is skip calls above its caller on.
func Crashed(value any, skip int) Crash {
	var b strings.Builder
	fmt.Fprintf(&b, "internal error (%T)\n", value)
	pcs := make([]uintptr, 16)
	frames := runtime.CallersFrames(pcs[:runtime.Callers(2+skip, pcs)])
	for {
		f, more := frames.Next()
		fmt.Fprintf(&b, "  %s:%d\n", f.Function, f.Line)
		if !more {
			return Crash(b.String())
		}
	}
}

// Guard is f for a goroutine, in which no caller can recover a panic: the runtime would
// print its value. What it prints instead is a Crash.
func Guard[T any](f func() T) func() T {
	return func() T {
		result, crash := caught(f)
		if crash != "" {
			panic(crash) // not while the first one unwinds: of a chain, the runtime prints all values
		}
		return result
	}
}

func caught[T any](f func() T) (result T, crash Crash) {
	defer func() {
		if r := recover(); r != nil {
			crash = Crashed(r, 2)
		}
	}()
	return f(), ""
}
