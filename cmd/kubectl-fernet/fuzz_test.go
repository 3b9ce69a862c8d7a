// SPDX-License-Identifier: Apache-2.0

package main

import (
	"crypto/sha256"
	"encoding/base64"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/kubectl-fernet/kubectl-fernet/internal/testkube"
)

// writer makes up .env files as people spoil them. It is the same for the same seed.
type writer struct{ *rand.Rand }

func newWriter(seed string) writer {
	return writer{rand.New(rand.NewChaCha8(sha256.Sum256([]byte(seed))))} // #nosec G404 -- the same files each time
}

func (w writer) bytes(n int) []byte {
	out := make([]byte, n)
	for i := range out {
		out[i] = byte(w.Uint32())
	}
	return out
}

func (w writer) pick(from ...string) string { return from[w.IntN(len(from))] }

func (w writer) key() string { return base64.URLEncoding.EncodeToString(w.bytes(32)) }

// password has a sign near its begin, which no name has.
func (w writer) password() string {
	const letters, signs = "abcdefghijkmnpqrstuvwxyzABCDEFGHJKLMNPQRSTUVWXYZ23456789", "!$%&/()?+*~:;,@^ "
	var b strings.Builder
	for i := range 8 + w.IntN(40) {
		from := letters
		if i == 3 || w.IntN(6) == 0 {
			from = signs
		}
		b.WriteByte(from[w.IntN(len(from))])
	}
	return strings.TrimSpace(b.String()) + "x7Q"
}

// wrapped is base64 as openssl prints it.
func (w writer) wrapped() (lines []string, whole string) {
	whole = base64.StdEncoding.EncodeToString(w.bytes(33 + w.IntN(80)))
	for rest := whole; rest != ""; {
		n := min(64, len(rest))
		lines = append(lines, rest[:n])
		rest = rest[n:]
	}
	return lines, whole
}

// spoiled gives lines in which a secret stands where it does not belong.
func (w writer) spoiled() (lines []string, secret string) {
	key, password := w.key(), w.password()
	switch w.IntN(13) {
	case 0:
		return []string{key}, key
	case 1:
		return []string{key, key}, key
	case 2:
		return []string{w.pick("export ", " ", "\t") + key + w.pick("", " ", "x", " # old")}, key
	case 3:
		return []string{w.pick("MY_SECRET_", "A.", "x", "SECRET-") + key + w.pick("", "a", "'b'")}, key
	case 4:
		return []string{w.pick("A_", "") + strings.TrimSuffix(key, "=") + w.pick("_B=c", "=", ".x=''")}, key
	case 5:
		return []string{"KEY_PREVIOUS=" + w.key() + ",", key}, key
	case 6:
		at := 10 + w.IntN(25)
		return []string{"KEY_PREVIOUS=" + key[:at], key[at:]}, key
	case 7, 8:
		lines, secret = w.wrapped()
		lines[0] = w.pick("SECRET_W=", "SECRET_W=", "export TLS=", "W = ", "") + lines[0]
		return lines, secret
	case 9:
		return []string{password}, password
	case 10:
		return []string{"SECRET_Q=" + w.pick("'", "\"") + password}, password
	case 11:
		return []string{"SECRET_Q='" + password[:4] + "'" + password[4:]}, password
	default:
		return []string{"SECRET_P=-----BEGIN PRIVATE KEY-----", key + key, "-----END PRIVATE KEY-----"}, key
	}
}

// lines gives what the file has, and what of it is secret.
func (w writer) lines(n int) (lines, secrets []string) {
	key := w.key()
	secrets = []string{key}
	if w.IntN(8) > 0 {
		lines = append(lines, w.pick("KEY=", "KEY=", "export KEY=", "KEY = ")+key)
	}
	for i := range 1 + w.IntN(3) {
		value := w.password()
		secrets = append(secrets, value)
		lines = append(lines, fmt.Sprintf("%s_%d_%d='%s'", w.pick("SECRET", "API_TOKEN", "Password", "db.url"), n, i, value))
	}
	for range w.IntN(3) {
		spoiled, secret := w.spoiled()
		secrets = append(secrets, secret)
		at := w.IntN(len(lines) + 1)
		lines = append(lines[:at], append(spoiled, lines[at:]...)...)
	}
	return lines, secrets
}

var cipher = regexp.MustCompile(`gAAAA[A-Za-z0-9_=-]+|v1:[A-Za-z0-9_:=-]+|Z0FBQU[A-Za-z0-9+/=]+`)

// leaks gives a run of 6 bytes of a secret in a text, in any case and with the signs
// that a name becomes a Secret's name with.
func leaks(text []byte, secrets []string) string {
	flat := strings.ReplaceAll(strings.ToLower(string(cipher.ReplaceAll(text, nil))), "_", "-")
	for _, secret := range secrets {
		form := strings.ReplaceAll(strings.ToLower(secret), "_", "-")
		for i := 0; i+6 <= len(form); i++ {
			if strings.Contains(flat, form[i:i+6]) {
				return secret[i : i+6]
			}
		}
	}
	return ""
}

// Whatever a .env looks like: no six bytes in a row of a key or value are in what is
// said, in a Secret's name or annotation, in the ledger or in a request.
func TestNoEnvFileLeaks(t *testing.T) {
	proxy := startProxy(t)
	kubeconfig, namespace := proxyKubeconfig(t, proxy), testkube.Namespace(t)
	pushed := 0
	for n := range 300 {
		w := newWriter(fmt.Sprint("file ", n))
		lines, secrets := w.lines(n)
		text := strings.Join(lines, w.pick("\n", "\n", "\r\n")) + w.pick("\n", "")
		dir := t.TempDir()
		write(t, filepath.Join(dir, ".env"), text)
		proxy.Reset()
		runs := [][]string{
			{"push", "--match", "*", "-n", namespace, "-v", "9"},
			{w.pick("diff", "status", "verify", "rollout", "push", "rotate", "pull", "retire"), "--env", ".env", "-n", namespace},
		}
		if n%4 == 0 {
			runs = append(runs, []string{"push", "--match", "*", "-n", namespace, "--key-file", ".env", "--dry-run=client"}, []string{"lint"}, []string{"init"})
		}
		for _, args := range runs {
			cmd := exec.Command("kubectl-fernet", args...)
			cmd.Dir = dir
			cmd.Env = append(os.Environ(), "KUBECONFIG="+kubeconfig)
			out, err := cmd.CombinedOutput()
			if code := exitCode(t, err); args[0] == "push" && code == 0 {
				pushed++
			}
			if leak := leaks(out, secrets); leak != "" {
				t.Errorf("file %d: %s says %q:\n%s\n%s", n, args[0], leak, out, text)
			}
		}
		if leak := leaks(read(t, filepath.Join(dir, ledgerName)), secrets); leak != "" {
			t.Errorf("file %d: the ledger has %q:\n%s", n, leak, text)
		}
		for _, r := range proxy.Requests() {
			if leak := leaks(append([]byte(r.Path+"?"+r.RawQuery+" "), r.Body...), secrets); leak != "" {
				t.Errorf("file %d: %s %s has %q:\n%s", n, r.Method, r.Path, leak, text)
			}
		}
	}
	if pushed < 60 {
		t.Errorf("only %d files were good enough to be pushed", pushed)
	}
}
