// SPDX-License-Identifier: Apache-2.0

package action

import (
	"encoding/binary"
	"math/rand/v2"
	"testing"
)

// script is a source of choices that a fuzzer has written: each byte is one of them. At its end
// all goes well.
type script struct{ bytes []byte }

// Uint64 has the byte at both ends: rand takes a choice out of the highest bits, or out of the
// lowest where it is one of 2, 4 or 8. With bit 55 set rand never rejects the number and asks for another.
func (s *script) Uint64() uint64 {
	next := byte(0xff)
	if !s.ended() {
		next, s.bytes = s.bytes[0], s.bytes[1:]
	}
	return uint64(next)<<56 | 1<<55 | uint64(next)
}

func (s *script) ended() bool { return len(s.bytes) == 0 }

// FuzzWalk plays the walks of TestWalk, whose choices are the fuzzer's: what it keeps are those
// that bring the program where it was not before.
func FuzzWalk(f *testing.F) {
	for seed := range uint64(16) {
		source, choices := rand.NewPCG(seed, 1), []byte{}
		for range 60 {
			choices = binary.BigEndian.AppendUint64(choices, source.Uint64())
		}
		f.Add(choices, seed%2 == 1)
	}
	f.Fuzz(func(t *testing.T, choices []byte, bundles bool) {
		source := &script{choices}
		w := newWalk(t, memoryFolder(t), source, bundles, map[string]int{})
		w.again, w.ended = "these choices play this again", source.ended
		w.play()
	})
}
