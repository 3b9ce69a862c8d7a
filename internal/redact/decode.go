// SPDX-License-Identifier: Apache-2.0

package redact

import (
	"bytes"
	"regexp"
	"strconv"
	"strings"
	"unicode/utf16"
	"unicode/utf8"
)

// piece is what a part of a text decodes to; each byte knows the part of the text
// that it comes from.
type piece struct {
	data     []byte
	from, to []int
}

func (p *piece) add(c byte, from, to int) {
	p.data, p.from, p.to = append(p.data, c), append(p.from, from), append(p.to, to)
}

// each calls do with every run of 6 bytes and where it begins.
func (p piece) each(do func(at int, key uint64)) {
	key := uint64(0)
	for i, c := range p.data {
		key = (key<<8 | uint64(c)) & runMask
		if i >= window-1 {
			do(i-window+1, key)
		}
	}
}

// Encodings in encodings are looked through so deep, and up to so many bytes: an
// error quotes a body that quotes a Secret that holds base64.
const (
	deepest = 4
	most    = 256 << 10
)

// decodings gives a text and all that it may decode to.
func decodings(text string) []piece {
	whole := piece{}
	for i := range len(text) {
		whole.add(text[i], i, i+1)
	}
	all, level, total := []piece{whole}, []piece{whole}, 0
	for range deepest {
		var next []piece
		for _, p := range level {
			for _, decode := range []func(piece) []piece{unescape, blanksForPlus, squeeze, fromBase64, fromHex, fromNumbers} {
				for _, q := range decode(p) {
					if total += len(q.data); len(q.data) >= window && total < most {
						next = append(next, q)
					}
				}
			}
		}
		all, level = append(all, next...), next
	}
	return all
}

// escape is what a quoted, percent-encoded or HTML-encoded text has for a character.
var escape = regexp.MustCompile(`\\u[dD][89abAB][0-9a-fA-F]{2}\\u[dD][c-fC-F][0-9a-fA-F]{2}|\\(?:x[0-9a-fA-F]{2}|u[0-9a-fA-F]{4}|U[0-9a-fA-F]{8}|[0-7]{3}|[^xuU0-7])|%[0-9a-fA-F]{2}|&(?:quot|apos|amp|lt|gt|#[0-9]{1,6}|#[xX][0-9a-fA-F]{1,5});`)

var named = map[string]string{
	`\n`: "\n", `\r`: "\r", `\t`: "\t", `\a`: "\a", `\b`: "\b", `\f`: "\f", `\v`: "\v",
	"&quot;": `"`, "&apos;": "'", "&amp;": "&", "&lt;": "<", "&gt;": ">",
}

// unescape takes one layer of escapes away.
func unescape(p piece) []piece {
	if !bytes.ContainsAny(p.data, `\%&`) {
		return nil
	}
	found := escape.FindAllIndex(p.data, -1)
	var q piece
	at := 0
	for _, m := range append(found, []int{len(p.data), len(p.data)}) {
		for ; at < m[0]; at++ {
			q.add(p.data[at], p.from[at], p.to[at])
		}
		if m[0] == m[1] {
			break
		}
		for _, c := range character(string(p.data[m[0]:m[1]])) {
			q.add(c, p.from[m[0]], p.to[m[1]-1])
		}
		at = m[1]
	}
	if len(found) == 0 {
		return nil
	}
	return []piece{q}
}

// character gives the bytes that an escape stands for.
func character(text string) []byte {
	code := func(digits string, base int) rune {
		n, _ := strconv.ParseUint(digits, base, 31)
		return rune(n) // #nosec G115 -- 31 bits
	}
	last := len(text) - 1
	switch {
	case named[text] != "":
		return []byte(named[text])
	case text[0] == '%':
		return []byte{byte(code(text[1:], 16))} // #nosec G115 -- two digits
	case text[1] == 'x':
		return []byte{byte(code(text[2:], 16))} // #nosec G115 -- two digits
	case len(text) == 12: // two halves of one character
		return utf8.AppendRune(nil, utf16.DecodeRune(code(text[2:6], 16), code(text[8:], 16)))
	case text[1] == 'u' || text[1] == 'U':
		return utf8.AppendRune(nil, code(text[2:], 16))
	case text[0] == '&' && (text[2] == 'x' || text[2] == 'X'):
		return utf8.AppendRune(nil, code(text[3:last], 16))
	case text[0] == '&':
		return utf8.AppendRune(nil, code(text[2:last], 10))
	case last == 3:
		return []byte{byte(code(text[1:], 8))} // #nosec G115 -- more than a byte is no escape
	default:
		return []byte(text[1:])
	}
}

// blanksForPlus is how a query writes a blank.
func blanksForPlus(p piece) []piece {
	if !bytes.ContainsRune(p.data, '+') {
		return nil
	}
	return []piece{{bytes.ReplaceAll(p.data, []byte("+"), []byte(" ")), p.from, p.to}}
}

// between is what may stand between the parts of a text that was split.
const between = " \t\r\n\"'`,;:|+\\[](){}<>"

func squeezed(r rune) rune {
	if strings.ContainsRune(between, r) {
		return -1
	}
	return r
}

// squeeze joins what was split: by line breaks, blanks, quotes and the like.
func squeeze(p piece) []piece {
	if !bytes.ContainsAny(p.data, between) {
		return nil
	}
	var q piece
	for i, c := range p.data {
		if bytes.IndexByte([]byte(between), c) < 0 {
			q.add(c, p.from[i], p.to[i])
		}
	}
	return []piece{q}
}

// digitsOf makes a table: the value of each digit plus one, 0 for what is none.
func digitsOf(alphabets ...string) (table [256]byte) {
	for _, alphabet := range alphabets {
		for i := range len(alphabet) {
			table[alphabet[i]] = byte(i + 1) // #nosec G115 -- at most 64
		}
	}
	return table
}

var (
	base64Digits = digitsOf("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/", "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_")
	hexDigits    = digitsOf("0123456789abcdef", "0123456789ABCDEF")
)

// fromBase64 reads each run of digits in all four ways to cut it into groups.
func fromBase64(p piece) []piece { return fromDigits(p, &base64Digits, 6, 4) }

// fromHex is the same with two ways.
func fromHex(p piece) []piece { return fromDigits(p, &hexDigits, 4, 2) }

func fromDigits(p piece, digits *[256]byte, bits, group int) (all []piece) {
	for begin, end := 0, 0; begin < len(p.data); begin = end + 1 {
		for end = begin; end < len(p.data) && digits[p.data[end]] > 0; end++ {
		}
		for skip := 0; skip < group && (end-begin-skip)*bits >= 8*window; skip++ {
			all = append(all, p.joinDigits(digits, bits, begin+skip, end))
		}
	}
	return all
}

// joinDigits makes bytes of the bits of digits.
func (p piece) joinDigits(digits *[256]byte, bits, begin, end int) (q piece) {
	held, have, first := uint(0), 0, begin
	for i := begin; i < end; i++ {
		held = held<<bits | uint(digits[p.data[i]]-1)
		if have += bits; have < 8 {
			continue
		}
		have -= 8
		q.add(byte(held>>have), p.from[first], p.to[i]) // #nosec G115 -- the lowest eight bits
		first = i
		if have == 0 {
			first = i + 1
		}
	}
	return q
}

var (
	number  = regexp.MustCompile(`0x[0-9a-fA-F]{1,2}|[0-9]{1,3}`)
	numbers = regexp.MustCompile(`(?:0x[0-9a-fA-F]{1,2}|[0-9]{1,3})(?:[ ,\t\n]+(?:0x[0-9a-fA-F]{1,2}|[0-9]{1,3})){5,}`)
)

// fromNumbers reads how Go prints bytes: [103 65 65], or 0x67, 0x41, 0x41.
func fromNumbers(p piece) (all []piece) {
	for _, m := range numbers.FindAllIndex(p.data, -1) {
		var q piece
		for _, n := range number.FindAllIndex(p.data[m[0]:m[1]], -1) {
			begin, end := m[0]+n[0], m[0]+n[1]
			digits, hex := bytes.CutPrefix(p.data[begin:end], []byte("0x"))
			base := 10
			if hex {
				base = 16
			}
			if value, err := strconv.ParseUint(string(digits), base, 8); err == nil {
				q.add(byte(value), p.from[begin], p.to[end-1])
			}
		}
		all = append(all, q)
	}
	return all
}
