// SPDX-License-Identifier: Apache-2.0

package main

import (
	"io"
	"net/http"
	"strings"
	"testing"
)

func TestAnswers(t *testing.T) {
	for _, tt := range []struct {
		name   string
		will   func(*http.Response) bool
		status int
		body   string
		want   bool
	}{
		{"ok", ok, http.StatusOK, "", true},
		{"not ready", ok, http.StatusInternalServerError, "", false},
		{"made", made, http.StatusCreated, "{}", true},
		{"made before", made, http.StatusConflict, "{}", true},
		{"not made", made, http.StatusForbidden, "{}", false},
		{"free", free, http.StatusOK, `{"spec": {}}`, true},
		{"no taint left", free, http.StatusOK, `{"spec": {"taints": []}}`, true},
		{"tainted", free, http.StatusOK, `{"spec": {"taints": [{"key": "node.kubernetes.io/not-ready"}]}}`, false},
		{"cut", free, http.StatusOK, `{"spec": {"tai`, false},
		{"no node", free, http.StatusNotFound, `{"kind": "Status"}`, false},
	} {
		resp := &http.Response{StatusCode: tt.status, Body: io.NopCloser(strings.NewReader(tt.body))}
		if got := tt.will(resp); got != tt.want {
			t.Errorf("%s: %v, want %v", tt.name, got, tt.want)
		}
	}
}
