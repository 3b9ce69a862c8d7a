// SPDX-License-Identifier: Apache-2.0

package envfile

import (
	"fmt"
	"io"
	"log/slog"
	"slices"

	"github.com/kubectl-fernet/kubectl-fernet/internal/redact"
	"github.com/kubectl-fernet/kubectl-fernet/internal/token"
)

const redacted = "[redacted]"

// Value is the plaintext of one entry. It shows itself as [redacted] to fmt,
// encoding/json, log/slog and every other printer; only Reveal gives the text.
//
// The text is behind a pointer because fmt prints the unexported fields of
// foreign structs by reflection, past all methods, but does not follow pointers
// there. Two Values compare with Equal; == does not compile.
type Value struct {
	_    [0]func()
	text *string
}

// NewValue hides a text, and has it cut out of what comes from outside.
func NewValue(text string) Value {
	redact.Add(text)
	return hidden(text)
}

// Names are the variables whose values are no secrets but names: of clusters, namespaces and
// Secrets, and globs over names. Servers say these words too.
var Names = []string{"CLUSTER_NAME", "FERNET_NAMESPACE", "FERNET_MATCH", "FERNET_BUNDLE", "FERNET_KEY_SECRET"}

// valueOf gives the value of a variable.
func valueOf(name, text string) Value {
	if slices.Contains(Names, name) && token.Kind(text) == "" {
		return hidden(text)
	}
	return NewValue(text)
}

func hidden(text string) Value { return Value{text: &text} }

// Reveal returns the text; the zero Value has the empty one.
func (v Value) Reveal() string {
	if v.text == nil {
		return ""
	}
	return *v.text
}

// Len is the length of the text in bytes.
func (v Value) Len() int { return len(v.Reveal()) }

// IsEmpty says whether the text is empty.
func (v Value) IsEmpty() bool { return v.Len() == 0 }

// Equal compares two texts, not in constant time.
func (v Value) Equal(other Value) bool { return v.Reveal() == other.Reveal() }

// String implements fmt.Stringer.
func (Value) String() string { return redacted }

// Format implements fmt.Formatter, for all verbs and flags.
func (Value) Format(s fmt.State, _ rune) { _, _ = io.WriteString(s, redacted) }

// MarshalText implements encoding.TextMarshaler, which JSON and YAML use too.
func (Value) MarshalText() ([]byte, error) { return []byte(redacted), nil }

// LogValue implements slog.LogValuer.
func (Value) LogValue() slog.Value { return slog.StringValue(redacted) }
