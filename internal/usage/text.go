// SPDX-License-Identifier: Apache-2.0

package usage

import (
	"encoding/base64"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"unicode/utf8"
)

// escape is what JSON writes for a character that may part words: Go's encoder has \u003c for <.
var escape = regexp.MustCompile(`\\(?:u[0-9a-fA-F]{4}|[nrtbf])`)

// unescaped takes the escapes of JSON away.
func unescaped(text string) string {
	return escape.ReplaceAllStringFunc(text, func(code string) string {
		char, err := strconv.Unquote(`"` + code + `"`)
		if err != nil { // half of a character
			return " "
		}
		return char
	})
}

// mentioned gives each wanted name that a text holds, bounded by what cannot be part of
// a name. The path of a file holds none: what is mounted is often called like its Secret.
func mentioned(text string, names func(string) bool) (found []string) {
	found = inText(text, names)
	if strings.Contains(text, `\`) {
		found = append(found, inText(unescaped(text), names)...)
	}
	slices.Sort(found)
	return slices.Compact(found)
}

func inText(text string, names func(string) bool) (found []string) {
	for word := range strings.FieldsFuncSeq(text, partsWords) {
		if isFile(word) {
			continue
		}
		for run := range strings.FieldsFuncSeq(word, partsNames) {
			if name := strings.Trim(run, "-."); names(name) {
				found = append(found, name)
			}
		}
	}
	return found
}

func partsWords(r rune) bool {
	switch r {
	case ' ', '\t', '\r', '\n', '\v', '\f', '"', '\'', '`', '=', ',', ':':
		return true
	default:
		return false
	}
}

func partsNames(r rune) bool {
	return (r < 'a' || r > 'z') && (r < '0' || r > '9') && r != '-' && r != '.'
}

// isFile says that a word is the absolute path of a file, and not of the API.
func isFile(word string) bool {
	return strings.HasPrefix(word, "/") && !strings.Contains(word, "/namespaces/")
}

// decoded gives the text that binary data is; empty if it is none.
func decoded(data string) string {
	text, err := base64.StdEncoding.DecodeString(data)
	if err != nil || !utf8.Valid(text) {
		return ""
	}
	return string(text)
}
