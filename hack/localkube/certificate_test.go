// SPDX-License-Identifier: Apache-2.0

package main

import (
	"crypto/tls"
	"crypto/x509"
	"net"
	"os"
	"path/filepath"
	"slices"
	"testing"
	"time"
)

var noon = time.Date(2031, 2, 3, 12, 0, 0, 0, time.UTC)

func mustAuthority(t *testing.T) authority {
	t.Helper()
	a, err := newAuthority(noon)
	if err != nil {
		t.Fatal(err)
	}
	return a
}

// leaf checks that a certificate and its key belong together.
func leaf(t *testing.T, p pair, err error) *x509.Certificate {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
	both, err := tls.X509KeyPair(p.cert, p.key)
	if err != nil {
		t.Fatal(err)
	}
	return both.Leaf
}

func verify(cert *x509.Certificate, a authority, at time.Time, usage x509.ExtKeyUsage) error {
	roots := x509.NewCertPool()
	roots.AddCert(a.cert)
	_, err := cert.Verify(x509.VerifyOptions{Roots: roots, CurrentTime: at, KeyUsages: []x509.ExtKeyUsage{usage}})
	return err
}

func TestClientCertificate(t *testing.T) {
	a := mustAuthority(t)
	issued, err := a.client("ann", "readers", "writers")
	cert := leaf(t, issued, err)
	if cert.Subject.CommonName != "ann" || !slices.Equal(cert.Subject.Organization, []string{"readers", "writers"}) {
		t.Errorf("subject is %v", cert.Subject)
	}
	for _, tt := range []struct {
		name  string
		by    authority
		at    time.Time
		usage x509.ExtKeyUsage
		ok    bool
	}{
		{"now", a, noon, x509.ExtKeyUsageClientAuth, true},
		{"a slow clock", a, noon.Add(-50 * time.Minute), x509.ExtKeyUsageClientAuth, true},
		{"months later", a, noon.AddDate(0, 11, 0), x509.ExtKeyUsageClientAuth, true},
		{"too late", a, noon.AddDate(1, 0, 1), x509.ExtKeyUsageClientAuth, false},
		{"as a server", a, noon, x509.ExtKeyUsageServerAuth, false},
		{"to another control plane", mustAuthority(t), noon, x509.ExtKeyUsageClientAuth, false},
	} {
		if err := verify(cert, tt.by, tt.at, tt.usage); (err == nil) != tt.ok {
			t.Errorf("%s: %v, want valid: %v", tt.name, err, tt.ok)
		}
	}
}

func TestServerCertificate(t *testing.T) {
	a := mustAuthority(t)
	issued, err := a.server(net.IPv4(127, 0, 0, 1))
	cert := leaf(t, issued, err)
	for host, ok := range map[string]bool{"127.0.0.1": true, "localhost": true, "127.0.0.2": false, "example.com": false} {
		if err := cert.VerifyHostname(host); (err == nil) != ok {
			t.Errorf("%s: %v, want valid: %v", host, err, ok)
		}
	}
	if err := verify(cert, a, noon, x509.ExtKeyUsageClientAuth); err == nil {
		t.Error("a server's certificate serves as a client's")
	}
}

func TestLoadAuthority(t *testing.T) {
	a, dir := mustAuthority(t), t.TempDir()
	certFile, keyFile := filepath.Join(dir, "cert"), filepath.Join(dir, "key")
	written, err := a.pair()
	leaf(t, written, err)
	for path, content := range map[string][]byte{certFile: written.cert, keyFile: written.key} {
		if err := os.WriteFile(path, content, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	loaded, err := loadAuthority(certFile, keyFile)
	if err != nil {
		t.Fatal(err)
	}
	issued, err := loaded.client("ann")
	if err := verify(leaf(t, issued, err), a, noon, x509.ExtKeyUsageClientAuth); err != nil {
		t.Errorf("what a loaded authority issues: %v", err)
	}
	if _, err := loadAuthority(keyFile, certFile); err == nil {
		t.Error("a key file passes as a certificate")
	}
}
