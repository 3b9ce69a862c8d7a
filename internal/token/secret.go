// SPDX-License-Identifier: Apache-2.0

package token

import (
	"regexp"
	"strings"
)

// keyDigits is how many characters of a key stand before its `=`.
const keyDigits = 43

var (
	encoded = regexp.MustCompile(`[A-Za-z0-9_-]{43,}=*`)
	// A token begins with version 0x80 and a time before 2106.
	tokenText = regexp.MustCompile(`gAAAA[A-Za-z0-9_-]{20,}`)
)

// Kind says whether a text is or contains, at any position, what has the shape of
// a Fernet key or of a token: "key", "token", or nothing. It knows no key, so it
// judges by the look: a key is 43 characters of random base64 and a `=`, of which
// whoever splits NAME=VALUE cuts off the latter. Words of a long path or name are
// no key, because their letters stand in runs of one case.
func Kind(text string) string {
	if tokenText.MatchString(text) {
		return "token"
	}
	for _, run := range encoded.FindAllString(text, -1) {
		if holdsKey(run) {
			return "key"
		}
	}
	return ""
}

func holdsKey(run string) bool {
	digits := strings.TrimRight(run, "=")
	if len(digits) == keyDigits && canonical(digits) {
		return len(run) == keyDigits+1 || random(digits, 20)
	}
	for i := 0; i+keyDigits <= len(digits); i++ {
		if window := digits[i : i+keyDigits]; canonical(window) && random(window, 13) {
			return true
		}
	}
	return false
}

// canonical says whether the last of 43 characters leaves no bits over.
func canonical(digits string) bool {
	return strings.IndexByte("AEIMQUYcgkosw048", digits[len(digits)-1]) >= 0
}

// random says whether 43 characters look like 32 random bytes: letters of both
// cases, few - and _, and not the letters of words. Those stand in runs of four or
// more of one case, and a capital only begins one. Of three million random keys 202
// score 13 and more, and 12 score 20.
func random(digits string, limit int) bool {
	var count [4]int
	score := 0
	for begin, end := 0, 0; begin < len(digits); begin = end {
		is := class(digits[begin])
		for end < len(digits) && class(digits[end]) == is {
			end++
		}
		length := end - begin
		count[is] += length
		if length >= 4 && is <= lower {
			score += length
		}
		if is == upper && (length > 1 || end < len(digits) && class(digits[end]) != lower) {
			score -= 3 * length
		}
	}
	return count[upper] >= 4 && count[lower] >= 4 && count[other] <= 8 && score < limit
}

// The classes of characters.
const (
	upper = iota
	lower
	digit
	other
)

func class(c byte) int {
	switch {
	case c >= 'A' && c <= 'Z':
		return upper
	case c >= 'a' && c <= 'z':
		return lower
	case c >= '0' && c <= '9':
		return digit
	default:
		return other
	}
}

// Encoded says whether a name looks like a piece of base64: 20 characters or more,
// letters of both cases and digits, and nothing that base64 does not have or that
// parts the words of a name.
func Encoded(name string) bool {
	var has [4]bool
	for i := range len(name) {
		has[class(name[i])] = true
	}
	return len(name) >= 20 && has[upper] && has[lower] && has[digit] && !strings.ContainsAny(name, "_.")
}
