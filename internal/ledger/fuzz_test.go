// SPDX-License-Identifier: Apache-2.0

package ledger_test

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
	"time"

	"k8s.io/apimachinery/pkg/util/validation"

	"github.com/kubectl-fernet/kubectl-fernet/internal/atomicfile/faultfs"
	"github.com/kubectl-fernet/kubectl-fernet/internal/ledger"
)

// What Append takes, Read gives back; what it refuses leaves no file.
func FuzzRoundTrip(f *testing.F) {
	f.Add(int64(0), "prod", "web", "SECRET_1", 1, byte(0))
	f.Add(int64(1e9), `a,"b"`, "w", "A", 12, byte(0xff))
	f.Add(int64(-1), "=1", "../x", "", -1, byte(7))
	f.Add(int64(253402300800), " ñ ", "a-b", "S.E-C_", 2, byte(0x42))
	path := filepath.Join(f.TempDir(), "fernet-ledger.csv")
	guard, err := ledger.Lock(path)
	if err != nil {
		f.Fatal(err)
	}
	f.Fuzz(func(t *testing.T, seconds int64, cluster, namespace, envKey string, generation int, pick byte) {
		row := pool(pick)
		row.Time, row.Cluster, row.Namespace, row.EnvKey, row.Generation = time.Unix(seconds, 5).UTC(), cluster, namespace, envKey, generation
		l, err := ledger.Open(&faultfs.FS{}, path, guard, ledger.Keys{})
		if err != nil {
			t.Fatal(err)
		}
		defer func() { _ = os.Remove(path) }()
		if err := l.Append(planned(1), row); err != nil {
			if _, err := os.Stat(path); !errors.Is(err, fs.ErrNotExist) {
				t.Errorf("refused, but wrote: %v", err)
			}
			return
		}
		row.Time = row.Time.Truncate(time.Second)
		wantRows(t, rowsOf(t, path), planned(1), row)
	})
}

// Parse never panics, what it calls a torn tail is all that is in the way, and
// errors about files that are no ledgers have a line and a way out.
func FuzzParse(f *testing.F) {
	for _, bad := range badFiles() {
		if len(bad.data) < 5000 {
			f.Add([]byte(bad.data))
		}
	}
	f.Add([]byte(header + line(created(1)) + line(planned(2))[:50]))
	f.Add([]byte{})
	f.Fuzz(func(t *testing.T, data []byte) {
		rows, tail, err := ledger.Parse("x.csv", data)
		if err != nil {
			var e *ledger.Error
			if !errors.As(err, &e) || e.Line == 0 || e.Way == "" || rows != nil {
				t.Fatalf("%#v with %d rows", err, len(rows))
			}
			return
		}
		again, rest, err := ledger.Parse("x.csv", data[:len(data)-tail])
		if err != nil || rest != 0 || !reflect.DeepEqual(rows, again) {
			t.Fatalf("without its tail of %d: %d rows, not %d; %v", tail, len(again), len(rows), err)
		}
	})
}

// FuzzDamage spoils a good ledger somewhere. No error shows 6 bytes of a token.
func FuzzDamage(f *testing.F) {
	text := header + line(created(1)) + line(planned(2)) + line(created(3))
	f.Add(uint(0), uint(0), []byte("x"))
	f.Add(uint(100), uint(3), []byte("\n"))
	f.Add(uint(250), uint(1), []byte(","))
	f.Add(uint(300), uint(40), []byte(`"`))
	f.Add(uint(500), uint(90), []byte("\x00="))
	f.Fuzz(func(t *testing.T, at, cut uint, insert []byte) {
		at %= uint(len(text))
		end := min(uint(len(text)), at+cut%200)
		_, _, err := ledger.Parse("x.csv", []byte(text[:at]+string(insert)+text[end:]))
		var e *ledger.Error
		if !errors.As(err, &e) {
			return
		}
		for n := 1; n <= 3; n++ {
			for i := range len(tokenOf(n)) - 6 {
				if window := tokenOf(n)[i : i+6]; strings.Contains(e.Error()+string(e.Way), window) {
					t.Fatalf("%q of a token in: %v", window, e)
				}
			}
		}
	})
}

// FuzzNames holds the rules about names to those of the API server.
func FuzzNames(f *testing.F) {
	for _, name := range []string{"a", "a.b", "a-b", "-a", "a-", "a..b", ".", "", "A", "ä", "0", strings.Repeat("a", 63), strings.Repeat("a", 64), strings.Repeat("a.", 126) + "a", strings.Repeat("a", 254)} {
		f.Add(name)
	}
	f.Fuzz(func(t *testing.T, name string) {
		if strings.ContainsAny(name, ",\"\r\n") {
			return // that is about cells
		}
		for column, check := range map[string]func(string) []string{"secret": validation.IsDNS1123Subdomain, "namespace": validation.IsDNS1123Label} {
			_, _, err := ledger.Parse("x.csv", []byte(with(column, name)))
			if refused := err != nil && strings.Contains(err.Error(), column+": "); refused != (len(check(name)) > 0) {
				t.Errorf("%s %q: %v, but the API server says %q", column, name, err, check(name))
			}
		}
	})
}
