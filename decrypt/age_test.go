// SPDX-License-Identifier: Apache-2.0

package decrypt

import (
	"errors"
	"testing"
	"time"
)

func TestOpenWithMaxAge(t *testing.T) {
	now := time.Unix(1_700_000_000, 999_000_000)
	for _, tt := range []struct {
		name        string
		made        uint64
		maxAge      time.Duration
		old, future bool
	}{
		{"of this second, no age", 1_700_000_000, 0, false, false},
		{"a second, no age", 1_699_999_999, 0, true, false},
		{"at the limit", 1_700_000_000 - 3600, time.Hour, false, false},
		{"over the limit", 1_700_000_000 - 3601, time.Hour, true, false},
		{"part of a second does not count", 1_700_000_000 - 2, 1999 * time.Millisecond, true, false},
		{"of 1970", 0, time.Hour, true, false},
		{"longest age", 0, 1<<63 - 1, false, false},
		{"a minute ahead", 1_700_000_060, time.Hour, false, false},
		{"more than a minute ahead", 1_700_000_061, time.Hour, false, true},
		{"more than a minute ahead, longest age", 1_700_000_061, 1<<63 - 1, false, true},
		{"end of int64", 1<<63 - 1, time.Hour, false, true},
		{"beyond int64", 1 << 63, time.Hour, false, true},
		{"end of uint64", 1<<64 - 1, time.Hour, false, true},
	} {
		t.Run(tt.name, func(t *testing.T) {
			f := valid(canary)
			f.seconds = tt.made
			got, err := testRing(testKey(1), testKey(0)).OpenWithMaxAge([]byte(f.text()), tt.maxAge, now)
			if !tt.old && !tt.future {
				if err != nil || string(got.Plaintext) != canary || !got.Previous {
					t.Errorf("%v, %v", got, err)
				}
				return
			}
			var age *AgeError
			if !errors.As(err, &age) || age.Future != tt.future || age.MaxAge != tt.maxAge || uint64(age.Time.Unix()) != tt.made {
				t.Fatalf("error %#v, want future %v", err, tt.future)
			}
			if got.Plaintext != nil || age.Error() == "" {
				t.Error("a plaintext comes with the error")
			}
		})
	}
	_, err := testRing(testKey(1)).OpenWithMaxAge([]byte(valid(canary).text()), time.Hour, now)
	wantNoKey(t, err, testRing(testKey(1)).KeyIDs()...)
	_, err = testRing(testKey(0)).OpenWithMaxAge([]byte("x"), time.Hour, now)
	wantDefect(t, err, DefectLength)
	_, err = new(Keyring).OpenWithMaxAge(nil, 0, time.Time{})
	wantDefect(t, err, DefectShort)
}
