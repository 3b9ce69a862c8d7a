// SPDX-License-Identifier: Apache-2.0

package main

import (
	"os/exec"
	"sort"
	"testing"
	"time"

	"github.com/fernet/fernet-go"
)

// BenchmarkStart is the time until a command has ended that does nothing: by itself,
// behind fernet-exec with ten tokens in the environment, and with these as files.
// The median says more than the mean, because some starts wait for the processor.
func BenchmarkStart(b *testing.B) {
	nothing, err := exec.LookPath("true")
	if err != nil {
		b.Fatal(err)
	}
	env := append([]string{}, keys...)
	for i := 0; i < 10; i++ {
		token, err := fernet.EncryptAndSign([]byte("0f8fad5b-d9cb-469f-a165-70867728950e"), testKey(0))
		if err != nil {
			b.Fatal(err)
		}
		env = append(env, "SECRET_"+string(rune('A'+i))+"="+string(token))
	}
	dir := memory(b)
	for _, bb := range []struct {
		name    string
		command []string
	}{
		{"command", []string{nothing}},
		{"exec", []string{binary, nothing}},
		{"write", []string{binary, "--write", dir}},
		{"write and exec", []string{binary, "--write", dir, nothing}},
	} {
		b.Run(bb.name, func(b *testing.B) {
			times := make([]time.Duration, 0, b.N)
			for i := 0; i < b.N; i++ {
				cmd := exec.Command(bb.command[0], bb.command[1:]...)
				cmd.Env = env
				started := time.Now()
				if out, err := cmd.CombinedOutput(); err != nil {
					b.Fatalf("%v: %s", err, out)
				}
				times = append(times, time.Since(started))
			}
			sort.Slice(times, func(i, j int) bool { return times[i] < times[j] })
			b.ReportMetric(float64(times[len(times)/2].Microseconds()), "median-µs")
		})
	}
}
