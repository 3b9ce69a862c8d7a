// SPDX-License-Identifier: Apache-2.0

// Command go-web is a small HTTP service that reads its secrets, and the keys that open
// them, from one mounted folder. GET / answers those who send SECRET_API_TOKEN as a bearer
// token; GET /rotation names the secrets that are still under a previous key.
package main

import (
	"crypto/subtle"
	"fmt"
	"log"
	"net"
	"net/http"
	"os"
	"strings"
	"time"

	"github.com/kubectl-fernet/kubectl-fernet/decrypt"
)

func main() {
	secrets, err := open(setting("SECRETS_DIR", "/etc/fernet"))
	if err != nil {
		log.Fatal(err)
	}
	for _, name := range secrets.Previous() {
		log.Printf("%s is still under the previous key %s", name, secrets[name].KeyID)
	}
	listener, err := net.Listen("tcp", net.JoinHostPort(os.Getenv("HOST"), setting("PORT", "8080")))
	if err != nil {
		log.Fatal(err)
	}
	log.Printf("listening on %s", listener.Addr())
	server := http.Server{Handler: handler(secrets), ReadHeaderTimeout: 5 * time.Second}
	log.Fatal(server.Serve(listener))
}

func setting(name, otherwise string) string {
	if value := os.Getenv(name); value != "" {
		return value
	}
	return otherwise
}

func open(dir string) (decrypt.Secrets, error) {
	ring, err := decrypt.KeysFromDir(dir)
	if err != nil {
		return nil, err
	}
	secrets, err := ring.Dir(dir)
	if err != nil {
		return nil, err
	}
	if len(secrets["SECRET_API_TOKEN"].Plaintext) == 0 {
		return nil, fmt.Errorf("%s: no SECRET_API_TOKEN, or it is empty", dir)
	}
	return secrets, nil
}

func handler(secrets decrypt.Secrets) http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /{$}", func(w http.ResponseWriter, r *http.Request) {
		want := append([]byte("Bearer "), secrets["SECRET_API_TOKEN"].Plaintext...)
		if subtle.ConstantTimeCompare([]byte(r.Header.Get("Authorization")), want) != 1 {
			http.Error(w, "unauthorized", http.StatusUnauthorized)
			return
		}
		fmt.Fprintln(w, "hello")
	})
	mux.HandleFunc("GET /rotation", func(w http.ResponseWriter, _ *http.Request) {
		fmt.Fprintln(w, strings.Join(secrets.Previous(), "\n"))
	})
	return mux
}
