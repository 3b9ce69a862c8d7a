// SPDX-License-Identifier: Apache-2.0

//go:build go1.21

package decrypt

import (
	"bytes"
	"log/slog"
	"strings"
	"testing"
)

func TestSlogShowsIDs(t *testing.T) {
	ring := testRing(testKey(0), testKey(1))
	result, err := ring.OpenResult([]byte(valid(canary).text()))
	if err != nil {
		t.Fatal(err)
	}
	var out bytes.Buffer
	for _, handler := range []slog.Handler{slog.NewTextHandler(&out, nil), slog.NewJSONHandler(&out, nil)} {
		out.Reset()
		slog.New(handler).Info("start", "ring", ring, "value", *ring, "group", slog.GroupValue(slog.Any("in", exports{"a", ring})), "result", result)
		got := out.String()
		if strings.Count(got, ring.String()) != 3 || !strings.Contains(got, result.String()) {
			t.Errorf("%T: %s", handler, got)
		}
		wantHidden(t, "slog", got, testKey(0), testKey(1), []byte(canary))
	}
}
