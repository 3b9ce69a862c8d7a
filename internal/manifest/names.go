// SPDX-License-Identifier: Apache-2.0

// Package manifest turns ledger rows into Kubernetes Secrets and Secrets back
// into what the rest of the program needs to know of them. It holds the naming
// rules, the labels and annotations, and the API server's limits. It is pure:
// it opens no file, dials nobody, and has no type that could carry a plaintext.
package manifest

import (
	"errors"
	"fmt"
	"regexp"
	"strings"

	"k8s.io/apimachinery/pkg/util/validation"

	"github.com/kubectl-fernet/kubectl-fernet/internal/ledger"
)

// MaxBaseName is the longest base name in bytes: a DNS-1123 subdomain has 253,
// of which "-g" and ten digits are kept free for the generation.
const MaxBaseName = 241

// MaxToken is the longest token in bytes that fits into one Secret: the API
// server accepts exactly 1 MiB of data.
const MaxToken = 1 << 20

// MaxPlaintext is the longest value in bytes whose token is at most MaxToken.
const MaxPlaintext = 786367

var generationSuffix = regexp.MustCompile(`-g[0-9]+$`)

// BaseName gives the Secret name of generation 1 for the name of an .env entry:
// ASCII letters in lower case, "_" as "-", nothing else changed. The error says
// which rule the result breaks; it names the entry and nothing else.
func BaseName(envKey string) (string, error) {
	base := strings.Map(normalise, envKey)
	if len(base) > MaxBaseName {
		return "", fmt.Errorf("%s: its Secret name would have %d characters, at most %d fit", envKey, len(base), MaxBaseName)
	}
	if problems := validation.IsDNS1123Subdomain(base); len(problems) > 0 {
		return "", fmt.Errorf("%s: %q cannot be a Secret name: it must consist of lower-case letters, digits, \"-\" and \".\", and begin and end with a letter or digit", envKey, base)
	}
	if generationSuffix.MatchString(base) {
		return "", fmt.Errorf("%s: a name that ends in -g and digits is taken for a generation of another entry", envKey)
	}
	return base, nil
}

func normalise(r rune) rune {
	switch {
	case r >= 'A' && r <= 'Z':
		return r + ('a' - 'A')
	case r == '_':
		return '-'
	default:
		return r
	}
}

// SecretName gives the name of a generation (1 or more) of a base name.
func SecretName(base string, generation int) string { return ledger.JoinName(base, generation) }

// SplitName is the reverse of SecretName. Any name that SecretName does not
// make with a generation above 1 is its own base name, generation 1.
func SplitName(name string) (base string, generation int) { return ledger.SplitName(name) }

// ErrNamespace is the cause of CheckNamespace's refusals.
var ErrNamespace = errors.New("a namespace has 1 to 63 lower-case letters, digits and \"-\", and begins and ends with a letter or digit")

// CheckNamespace refuses what the API server would refuse as a namespace name.
func CheckNamespace(name string) error {
	if len(validation.IsDNS1123Label(name)) > 0 {
		return fmt.Errorf("namespace %q: %w", name, ErrNamespace)
	}
	return nil
}
