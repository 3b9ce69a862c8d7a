// SPDX-License-Identifier: Apache-2.0

package envfile

import (
	"bytes"
	"encoding/json"
	"fmt"
	"log/slog"
	"reflect"
	"strings"
	"testing"

	"github.com/kubectl-fernet/kubectl-fernet/internal/redact"
)

const canary = "canary-7f3a9d51"

func TestValueIsRedactedByEveryPrinter(t *testing.T) {
	v := NewValue(canary)
	hidden := struct{ v Value }{v} // fmt reaches it by reflection only
	file, err := Parse("x", []byte("A="+canary+"\n"))
	if err != nil {
		t.Fatal(err)
	}
	var log bytes.Buffer
	for _, handler := range []slog.Handler{slog.NewTextHandler(&log, nil), slog.NewJSONHandler(&log, nil)} {
		slog.New(handler).Info("m", "value", v, "pointer", &v, "entry", file.Entries[0], "file", file, "hidden", hidden)
	}
	texts := []string{log.String(), v.String(), v.LogValue().String()}
	for _, x := range []any{v, &v, []Value{v}, map[string]Value{"a": v}, hidden, &hidden, file, *file, file.Entries, Set("A", canary)} {
		for _, verb := range "vsqxXdboOUeEfFgGtcpTw" {
			for _, flag := range []string{"", "+", "#", " ", "-40", "040", ".3"} {
				texts = append(texts, fmt.Sprintf("%"+flag+string(verb), x))
			}
		}
		encoded, err := json.Marshal(x)
		if err != nil {
			t.Fatal(err)
		}
		texts = append(texts, string(encoded))
	}
	for _, text := range texts {
		if strings.Contains(text, canary[:6]) || strings.Contains(text, fmt.Sprintf("%x", canary[:6])) {
			t.Fatalf("the value is in %q", text)
		}
	}
	if got := fmt.Sprintf("%v %+v %#v %x", v, &v, v, v); got != "[redacted] [redacted] [redacted] [redacted]" {
		t.Errorf("fmt: %s", got)
	}
	if encoded, _ := json.Marshal(map[string]Value{"a": v}); string(encoded) != `{"a":"[redacted]"}` {
		t.Errorf("json: %s", encoded)
	}
}

func TestValueHoldsItsText(t *testing.T) {
	for _, text := range []string{"", "b", "ä"} {
		v := NewValue(text)
		if v.Reveal() != text || v.Len() != len(text) || v.IsEmpty() != (text == "") || !v.Equal(NewValue(text)) || v.Equal(NewValue(text+"x")) {
			t.Errorf("%q: %q, %d bytes", text, v.Reveal(), v.Len())
		}
	}
	if zero := (Value{}); zero.Reveal() != "" || !zero.IsEmpty() || !zero.Equal(NewValue("")) {
		t.Error("the zero Value is not the empty text")
	}
	if reflect.TypeFor[Value]().Comparable() {
		t.Error("== compares Values, but not their texts")
	}
}

// Servers say the names that settings hold; a key that stands in one by mistake stays hidden.
func TestSettingsAreNoSecrets(t *testing.T) {
	const key = "bWlzdGFrZW4gZm9yIHRoZSBuYW1lIG9mIGEgU2VjcmU="
	env := "SECRET_A=quibble-frantic\nFERNET_BUNDLE=wombat-jumbled\nCLUSTER_NAME=vixen-waltz\nFERNET_KEY_SECRET=" + key + "\n"
	if _, err := Parse(".env", []byte(env)); err != nil {
		t.Fatal(err)
	}
	for text, shown := range map[string]bool{"a wombat": true, "is jumbled": true, "a waltz of a vixen": true, "a quibble": false, key[:30]: false} {
		if got := redact.Clean(text); (got == text) != shown {
			t.Errorf("%s: %s", text, got)
		}
	}
}
