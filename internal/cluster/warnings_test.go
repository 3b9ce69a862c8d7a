// SPDX-License-Identifier: Apache-2.0

package cluster_test

import (
	"net/http"
	"net/http/httptest"
	"slices"
	"testing"

	"k8s.io/client-go/rest"

	"github.com/kubectl-fernet/kubectl-fernet/internal/cluster"
)

// What a server warns of is shown once, without what it was sent.
func TestWarningsAreShownOnceAndWithoutSecrets(t *testing.T) {
	row := lab{namespace: "default"}.row("secret-a")
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		for _, warning := range []string{`299 - "look at ` + row.Token + ` in \"default\""`, `299 - "again"`, `199 - "not for users"`} {
			w.Header().Add("Warning", warning)
		}
		w.WriteHeader(http.StatusForbidden)
	}))
	defer server.Close()
	var shown []string
	rest.SetDefaultWarningHandler(cluster.Warnings(func(text string) { shown = append(shown, text) }))
	defer rest.SetDefaultWarningHandler(rest.NoWarnings{})
	client := connect(t, &rest.Config{Host: server.URL}, nil)
	for range 2 {
		client.Create(t.Context(), row, true)
	}
	if want := []string{`look at [redacted] in "default"`, "again"}; !slices.Equal(shown, want) {
		t.Errorf("shown %q, want %q", shown, want)
	}
}
