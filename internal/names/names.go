// SPDX-License-Identifier: Apache-2.0

// Package names holds the rules about names, once: how the name of an .env entry
// becomes that of a Secret, how a Secret's name is split into base name and
// generation, and what Kubernetes accepts (RFC 1123). Names go in and out; errors
// quote the name and nothing else.
package names

import (
	"errors"
	"fmt"
	"regexp"
	"strconv"
	"strings"
)

// MaxBase is the longest base name in bytes: a DNS-1123 subdomain has 253, of which
// "-g" and ten digits are kept free for the generation.
const MaxBase = 241

// MaxGeneration is the highest number of a generation.
const MaxGeneration = 999_999_999

const (
	maxSubdomain = 253
	maxLabel     = 63
)

var generationSuffix = regexp.MustCompile(`-g[0-9]+$`)

// Base gives the Secret name of generation 1 for the name of an .env entry: ASCII
// letters in lower case, "_" as "-", nothing else changed. The error says which rule
// the result breaks.
func Base(envKey string) (string, error) {
	base := strings.Map(normalise, envKey)
	switch {
	case len(base) > MaxBase:
		return "", fmt.Errorf("%s: its Secret name would have %d characters, at most %d fit", envKey, len(base), MaxBase)
	case !Subdomain(base):
		return "", fmt.Errorf("%s: %q cannot be a Secret name: it must consist of lower-case letters, digits, \"-\" and \".\", and begin and end with a letter or digit", envKey, base)
	case generationSuffix.MatchString(base):
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

// Secret gives the name of a generation (1 or more) of a base name.
func Secret(base string, generation int) string {
	if generation == 1 {
		return base
	}
	return Numbered(base, generation)
}

// Split is the reverse of both Secret and Numbered: N of BASE-gN, where N is from 1 to
// MaxGeneration and has no leading zero. Any other name is its own base name, generation
// 1. No base name of an entry ends so: BASE-g1 is never that of a single one.
func Split(secret string) (base string, generation int) {
	if base, n, ok := SplitNumbered(secret); ok {
		return base, n
	}
	return secret, 1
}

// IsBase says whether a text can be the base name of a Secret with numbered generations.
func IsBase(text string) bool {
	return len(text) <= MaxBase && Subdomain(text) && !generationSuffix.MatchString(text)
}

// Numbered gives the name of a generation (1 or more) of a Secret that holds more than one
// entry, such as a keyring. Generation 1 has its number too: so no other string that is the
// base name is taken for it.
func Numbered(base string, generation int) string { return base + "-g" + strconv.Itoa(generation) }

// SplitNumbered is the reverse of Numbered: N of BASE-gN, where N is from 1 to
// MaxGeneration and has no leading zero. ok is false for any other name.
func SplitNumbered(secret string) (base string, generation int, ok bool) {
	i := strings.LastIndex(secret, "-g")
	if i < 1 {
		return "", 0, false
	}
	digits := secret[i+len("-g"):]
	n, err := strconv.Atoi(digits)
	if err != nil || n < 1 || n > MaxGeneration || strconv.Itoa(n) != digits {
		return "", 0, false
	}
	return secret[:i], n, true
}

// ErrNamespace is the cause of CheckNamespace's refusals.
var ErrNamespace = errors.New("a namespace has 1 to 63 lower-case letters, digits and \"-\", and begins and ends with a letter or digit")

// CheckNamespace refuses what the API server would refuse as a namespace name.
func CheckNamespace(name string) error {
	if !Label(name) {
		return fmt.Errorf("namespace %q: %w", name, ErrNamespace)
	}
	return nil
}

// Label says whether a text is an RFC 1123 label: up to 63 lower-case letters, digits
// and inner hyphens. It is written out, because every row of a ledger is held against
// it; a test compares it with apimachinery's.
func Label(text string) bool { return len(text) <= maxLabel && part(text) }

// Subdomain says whether a text is an RFC 1123 subdomain, as the name of a Secret is: up
// to 253 characters, parts as in a label, but of any length, between full stops.
func Subdomain(text string) bool {
	if len(text) > maxSubdomain {
		return false
	}
	for rest, more := text, true; more; {
		var first string
		if first, rest, more = strings.Cut(rest, "."); !part(first) {
			return false
		}
	}
	return true
}

func part(text string) bool {
	for i := range len(text) {
		c := text[i]
		if (c < 'a' || c > 'z') && (c < '0' || c > '9') && (c != '-' || i == 0 || i == len(text)-1) {
			return false
		}
	}
	return text != ""
}
