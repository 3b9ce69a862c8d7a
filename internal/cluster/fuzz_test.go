// SPDX-License-Identifier: Apache-2.0

package cluster_test

import (
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"k8s.io/client-go/rest"

	"github.com/kubectl-fernet/kubectl-fernet/internal/cluster"
	"github.com/kubectl-fernet/kubectl-fernet/internal/hint"
)

// FuzzAnswer has a server answer a create with anything, which quotes the token that it was
// sent where TOKEN stands. That is an error which shows no piece of the token, unless it is the
// very Secret that was sent.
func FuzzAnswer(f *testing.F) {
	status := func(reason, message, more string) string {
		return `{"kind":"Status","apiVersion":"v1","status":"Failure","reason":"` + reason + `","message":"` + message + `"` + more + `}`
	}
	f.Add(uint16(403), status("Forbidden", `secrets is forbidden: User \"u\" cannot create resource \"secrets\" in API group \"\" in the namespace \"n\"`, ""))
	f.Add(uint16(422), status("Invalid", "", `,"details":{"causes":[{"field":"data[A]","message":"TOKEN"}]}`))
	f.Add(uint16(404), status("NotFound", "no TOKEN", `,"details":{"kind":"namespaces","name":"TOKEN"}`))
	f.Add(uint16(409), status("AlreadyExists", "object is being deleted: TOKEN", `,"details":{"retryAfterSeconds":0}`))
	f.Add(uint16(400), "admission webhook denied: \x1b[2J \"TOKEN\"")
	f.Add(uint16(500), `{"kind":"Secret","apiVersion":"v1","data":{"A":"TOKEN"}}`)
	f.Add(uint16(401), "<html>TOKEN")
	f.Add(uint16(201), `{"kind":"Secret","apiVersion":"v1","metadata":{"name":"secret-a","namespace":"default","uid":"1"},"data":{"SECRET-A":"eA=="}}`)
	var code int
	var body string
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "application/json")
		w.WriteHeader(code)
		_, _ = w.Write([]byte(body))
	}))
	f.Cleanup(server.Close)
	row := lab{namespace: "default"}.row("secret-a")
	row.Token = "q7WcVxnCzJYzW0e9hQ5p3mT1uR8aK2dL6sF4gB0iEoM="
	f.Fuzz(func(t *testing.T, number uint16, text string) {
		if code, body = int(number), strings.ReplaceAll(text, "TOKEN", row.Token); code < 200 || code > 599 || code/100 == 3 {
			return
		}
		r := connect(t, &rest.Config{Host: server.URL}, nil).Create(t.Context(), row, true)
		if r.Fate == cluster.Landed {
			if !r.Object.Carries(row) {
				t.Errorf("HTTP %d %q is taken for the Secret", code, body)
			}
			return
		}
		if r.Err == nil || r.Err.Error() == "" {
			t.Fatalf("HTTP %d %q: fate %d, %v", code, body, r.Fate, r.Err)
		}
		said := r.Err.Error() + string(hint.Of(r.Err))
		for i := range len(row.Token) - 5 {
			if strings.Contains(said, row.Token[i:i+6]) {
				t.Fatalf("HTTP %d %q shows a piece of the token: %q", code, body, said)
			}
		}
	})
}
